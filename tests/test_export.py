"""A detector that left Python, with its post-processing, finds what it finds inside."""

import pytest
import torch

from retinanet_lite import Detection, for_inference, quicken


@pytest.fixture(params=[{}, {"top_k": None}], ids=str)
def model(detector, request):
    """With few enough detections that no two scores are nearly equal."""
    detector.detection = Detection(score_threshold=0.27, max_detections=20, **request.param)
    return for_inference(detector)


@pytest.fixture
def images():
    """A batch to follow the detector with, and one that it has not seen then."""
    return torch.randn(2, 3, 96, 130), torch.randn(2, 3, 96, 130)


def same(found, expected) -> None:
    for mine, its in zip(found, expected, strict=True):
        scores = its["scores"]
        assert len(scores) > 5 and (scores[:-1] - scores[1:]).min() > 1e-6
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-3)


@pytest.mark.filterwarnings("ignore")  # about PyTorch's own files and torchvision's own calls
def test_torch_export_finds_the_same(model, images, tmp_path):
    first, second = images
    program = torch.export.export(model, (first,))
    same(program.module()(second), model(second))
    torch.export.save(program, tmp_path / "detector.pt2")
    same(torch.export.load(tmp_path / "detector.pt2").module()(second), model(second))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [0, 1, 2])
def test_so_it_does_where_there_is_next_to_nothing(detector, images, count):
    first, second = images[0][:1], images[1][:1]
    quicken(detector).detection = quicken(Detection(nms_threshold=1.0))
    best = detector(second)[0]["scores"][:4]
    detector.detection.score_threshold = (
        best[0].item() + 0.01 if count == 0 else best[count - 1 : count + 1].mean().item()
    )
    program = torch.export.export(detector, (first,))
    (found,) = program.module()(second)
    assert len(found["scores"]) == count
    torch.testing.assert_close([found], detector(second), rtol=1e-4, atol=1e-3)


def test_exporting_leaves_the_model_as_it_was(model, images):
    before = model(images[1])
    torch.export.export(model, (images[0],))
    assert all(type(anchors) is torch.Tensor for anchors in model.anchors.kept.values())
    same(model(images[1]), before)


@pytest.mark.filterwarnings("ignore")
def test_onnx_runtime_finds_the_same(model, images, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    first, second = images
    torch.onnx.export(
        model,
        (first,),
        tmp_path / "detector.onnx",
        input_names=["images"],
        output_names=[f"{name}{i}" for i in range(2) for name in ("boxes", "scores", "labels")],
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "detector.onnx")
    outputs = [torch.from_numpy(x) for x in session.run(None, {"images": second.numpy()})]
    names = [output.name for output in session.get_outputs()]
    assert names == ["boxes0", "scores0", "labels0", "boxes1", "scores1", "labels1"]
    expected = [x for image in model(second) for x in image.values()]
    for mine, its in zip(outputs, expected, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-3)
