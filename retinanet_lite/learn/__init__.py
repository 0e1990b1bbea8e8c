"""What helps to see the detector: shape tables and figures. The detector never imports these."""
