from pathlib import Path

SHAPES = Path(__file__).with_name("shapes.pt")
