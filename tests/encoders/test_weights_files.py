"""Weights from local files: every form that libraries write, and every damaged one."""

from __future__ import annotations

import io
import warnings

import pytest

from dkvb.encoders import weights
from dkvb.encoders.networks import load_encoder, weights_fingerprint
from dkvb.errors import UsageError
from dkvb.recipe import Encoder
from tiny_clip import SMALL, features, picture

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_clip")


def test_weights_hash_is_of_the_parameters_that_compute_features(clip, resnet, tmp_path):
    import torch

    assert load_encoder(Encoder(name="pixels"), "cpu", "RGB").weights_hash is None
    again = load_encoder(Encoder(name=SMALL, weights="random"), "cpu", "RGB")
    assert again.weights_hash == clip.weights_hash != resnet.weights_hash
    assert len(clip.weights_hash) == 64
    state = {name: value.clone() for name, value in clip.network.state_dict().items()}
    state["logit_scale"] += 1  # of the text side's, which no feature depends on
    torch.save(state, tmp_path / "same.pt")
    assert (
        load_encoder(Encoder(name=SMALL, weights=str(tmp_path / "same.pt")), "cpu", "RGB").weights_hash
        == clip.weights_hash
    )
    state["visual.proj"][0, 0] += 1
    torch.save(state, tmp_path / "other.pt")
    assert (
        load_encoder(Encoder(name=SMALL, weights=str(tmp_path / "other.pt")), "cpu", "RGB").weights_hash
        != clip.weights_hash
    )


def test_state_hash_tells_names_types_and_shapes_apart():
    import torch

    states = [
        {"a": torch.zeros(4)},
        {"b": torch.zeros(4)},
        {"a": torch.zeros(2, 2)},
        {"a": torch.zeros(4, dtype=torch.int32)},
        {"a": torch.zeros(2), "b": torch.zeros(2)},
        {"a": torch.zeros(4, dtype=torch.bfloat16)},
        {"a": torch.tensor(0.0)},
    ]
    assert len({weights.state_hash(state) for state in states}) == len(states)
    one, two = torch.ones(2), torch.zeros(3)
    assert weights.state_hash({"a": one, "b": two}) == weights.state_hash({"b": two, "a": one})


def torchscript(state) -> bytes:
    """A TorchScript archive with these parameters, like OpenAI's: half precision and three buffers of its own."""
    import torch

    root = torch.nn.Module()
    for name, value in {**state, "input_resolution": torch.tensor(224)}.items():
        *path, leaf = name.split(".")
        node = root
        for part in path:
            if part not in dict(node.named_children()):
                node.add_module(part, torch.nn.Module())
            node = node.get_submodule(part)
        node.register_buffer(leaf, value.half() if value.is_floating_point() else value)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(root), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["a.safetensors", "wrapped.bin", "openai.pt"])
def test_clip_from_a_local_file(form, tmp_path, clip):
    import torch
    from safetensors.torch import save_file

    path = tmp_path / form
    # other weights than the seeded ones, so that a file which is not read shows
    state = {name: value * 0.9 for name, value in clip.network.state_dict().items() if name.startswith("visual.")}
    if form == "a.safetensors":
        save_file(state, path)
    elif form == "openai.pt":
        path.write_bytes(torchscript(state))
    else:
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    encoder = load_encoder(Encoder(name=SMALL, weights=str(path)), "cpu", "RGB")
    loaded = encoder.network.visual.state_dict()
    for name, value in clip.network.visual.state_dict().items():
        assert torch.allclose(loaded[name], value * 0.9, atol=1e-2 if form == "openai.pt" else 0), name
    assert loaded["conv1.weight"].dtype == torch.float32
    assert not torch.allclose(features(encoder, picture()), features(clip, picture()), atol=1e-3)
    quick = any(type(module).__name__ == "QuickGELU" for module in encoder.network.visual.modules())
    assert quick == (form == "openai.pt")
    assert weights_fingerprint(Encoder(name=SMALL, weights=str(path))).startswith("sha256:")


def test_resnet_and_timm_from_local_files(tmp_path, resnet):
    import timm
    import torch
    from torchvision.models import resnet50

    torch.save(resnet50().state_dict(), tmp_path / "full.pth")
    encoder = load_encoder(Encoder(name="resnet50", weights=str(tmp_path / "full.pth")), "cpu", "RGB")
    assert not (features(encoder, picture()) == features(resnet, picture())).all()
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "timm.pth")
    assert load_encoder(Encoder(name="timm:resnet18", weights=str(tmp_path / "timm.pth")), "cpu", "RGB").dim == 512
    with pytest.raises(
        UsageError, match=r"full\.pth does not hold .* resnet18: it has besides .* and \d+ more; it has in another"
    ):
        load_encoder(Encoder(name="timm:resnet18", weights=str(tmp_path / "full.pth")), "cpu", "RGB")
    with pytest.raises(UsageError, match=r"timm\.pth does not hold the weights of resnet50.*layer1\.0\.conv3"):
        load_encoder(Encoder(name="resnet50", weights=str(tmp_path / "timm.pth")), "cpu", "RGB")
    with pytest.raises(
        UsageError, match=r"does not hold the weights of the image tower of tiny: it lacks .*and \d+ more"
    ):
        load_encoder(Encoder(name=SMALL, weights=str(tmp_path / "timm.pth")), "cpu", "RGB")


def test_weights_of_another_width_are_refused(tmp_path, clip):
    import torch

    state = {name: value for name, value in clip.network.state_dict().items() if name.startswith("visual.")}
    state["visual.proj"] = torch.zeros(64, 7)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(UsageError, match="has in another shape proj"):
        load_encoder(Encoder(name=SMALL, weights=str(tmp_path / "w.pt")), "cpu", "RGB")


class Evil:
    def __reduce__(self):
        return (print, ("unpickled code ran",))


@pytest.mark.parametrize("content", ["empty", "text", "cut", "evil", "object"])
def test_unreadable_weights(content, tmp_path, capsys):
    import torch

    path = tmp_path / "w.pt"
    if content == "evil":
        torch.save({"a": Evil()}, path)
    elif content == "object":
        torch.save({"a": 1}, path)
    else:
        torch.save({"a": torch.zeros(1000)}, path)
        path.write_bytes({"empty": b"", "text": b"not weights", "cut": path.read_bytes()[:900]}[content])
    with pytest.raises(UsageError, match=r"w\.pt (cannot be read|holds no state dict)"):
        load_encoder(Encoder(name="resnet50", weights=str(path)), "cpu", "RGB")
    assert capsys.readouterr().out == ""


def test_damaged_safetensors(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(UsageError, match="cannot be read"):
        load_encoder(Encoder(name="resnet50", weights=str(tmp_path / "w.safetensors")), "cpu", "RGB")
