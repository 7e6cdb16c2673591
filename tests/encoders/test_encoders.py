"""Encoders: shapes, modes, local weights and every refusal. Random weights; nothing is downloaded."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dkvb.encoders import weights
from dkvb.encoders.networks import load_encoder, stack, weights_fingerprint
from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Encoder

SMALL = "open_clip:tiny"
TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory):
    """An architecture of CLIP's own kind that takes milliseconds."""
    import open_clip

    path = tmp_path_factory.mktemp("configs") / "tiny.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Waiting threads on a shared machine cost more than they bring to networks this small."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(width: int = 40, height: int = 30, seed: int = 0, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def features(encoder, *images):
    return encoder.encode(stack([encoder.preprocess(image) for image in images]))


@pytest.fixture(scope="module")
def clip():
    return load_encoder(Encoder(name=SMALL, weights="random"), "cpu", "RGB")


@pytest.fixture(scope="module")
def resnet():
    return load_encoder(Encoder(name="resnet50", weights="random"), "cpu", "RGB")


def test_importing_stays_cheap():
    heavy = ("torch", "torchvision", "open_clip", "sklearn", "polars")
    code = f"import sys, dkvb.encoders, dkvb.sources; print([name for name in {heavy} if name in sys.modules])"
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=here)
    assert done.stdout == "[]\n"


# pixels


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_pixels_are_standardised_per_image(mode, channels):
    encoder = load_encoder(Encoder(name="pixels"), "cpu", mode)
    one, two = picture(seed=1, mode=mode), picture(seed=2, mode=mode)
    both = features(encoder, one, two)
    assert both.shape == (2, channels * 30 * 40)
    assert encoder.dim == channels * 30 * 40
    assert np.allclose(both.mean(1), 0, atol=1e-5)
    assert np.allclose(both.std(1), 1, atol=1e-3)
    assert (features(encoder, two)[0] == both[1]).all()
    expected = np.asarray(one, np.float64).reshape(30, 40, channels).transpose(2, 0, 1).ravel() / 255
    assert np.allclose(both[0], (expected - expected.mean()) / (expected.std() + 1e-6), atol=1e-5)


def test_pixels_of_a_flat_image_are_zero_not_nan():
    encoder = load_encoder(Encoder(name="pixels"), "cpu", "L")
    assert (features(encoder, Image.new("L", (5, 5), 77)) == 0).all()


def test_pixels_resize_makes_one_size_of_many():
    encoder = load_encoder(Encoder(name="pixels", size=8), "cpu", "RGB")
    assert encoder.dim == 192
    assert features(encoder, picture(40, 30), picture(9, 50)).shape == (2, 192)


def test_pixels_refuses_a_second_size_and_names_both():
    encoder = load_encoder(Encoder(name="pixels"), "cpu", "RGB")
    with pytest.raises(DkvbError, match="no width before"):
        _ = encoder.dim
    encoder.preprocess(picture(40, 30))
    with pytest.raises(DkvbError, match=r"(40×30 and 10×12|10×12 and 40×30).*encoder\.size = 32"):
        encoder.preprocess(picture(10, 12))


def test_pixels_agree_on_one_size_across_threads():
    encoder = load_encoder(Encoder(name="pixels"), "cpu", "RGB")
    refused, start = [], threading.Barrier(8)

    def work(i: int) -> None:
        start.wait()
        try:
            encoder.preprocess(picture(10 + i % 2, 10))
        except DkvbError:
            refused.append(i % 2)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 4
    assert len(set(refused)) == 1


def test_stack_names_the_sizes():
    import torch

    assert stack([torch.zeros(3, 4, 5)] * 2).shape == (2, 3, 4, 5)
    with pytest.raises(DkvbError, match=r"5×4 and 6×4.*encoder\.size"):
        stack([torch.zeros(3, 4, 5), torch.zeros(3, 4, 6)])


# networks


def test_clip_is_frozen_unnormalised_and_the_same_for_grey_as_for_rgb(clip):
    grey = picture(mode="L")
    out = features(clip, picture(), grey, grey.convert("RGB"))
    assert out.shape == (3, clip.dim) == (3, 24)
    assert out.dtype.is_floating_point
    assert not out.requires_grad
    assert (out[1] == out[2]).all()
    assert not (out[0] == out[1]).all()
    assert not np.allclose(out.norm(dim=1), 1, atol=1e-2)
    assert not clip.network.training
    assert not any(parameter.requires_grad for parameter in clip.network.parameters())


def test_clip_uses_clips_own_transform(clip):
    """224 pixels after a centre crop, and OpenAI's mean and deviation."""
    white = clip.preprocess(Image.new("RGB", (300, 200), "white"))
    expected = (1 - np.array([0.48145466, 0.4578275, 0.40821073])) / np.array([0.26862954, 0.26130258, 0.27577711])
    assert white.shape == (3, 224, 224)
    assert np.allclose(white[:, 100, 100], expected, atol=1e-4)


def test_default_clip_has_quickgelu(monkeypatch):
    import open_clip

    asked = {}

    def create(arch, tag, **options):
        asked.update(arch=arch, **options)
        raise RuntimeError("enough")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    with pytest.raises(RuntimeError, match="enough"):
        load_encoder(Encoder(name="clip-vit-b32", weights="random"), "cpu", "RGB")
    assert asked["arch"] == "ViT-B-32-quickgelu"
    assert open_clip.get_model_config(asked["arch"])["quick_gelu"]
    monkeypatch.setattr(weights, "unreachable", lambda url: "offline")
    with pytest.raises(DkvbError, match="offline"):
        load_encoder(Encoder(name="open_clip:ViT-B-32", weights="openai"), "cpu", "RGB")
    assert asked["force_quick_gelu"] is True


def test_random_weights_repeat_and_leave_the_global_state_alone(clip):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = load_encoder(Encoder(name=SMALL, weights="random"), "cpu", "RGB")
    assert (torch.rand(1) == expected).all()
    assert (features(again, picture()) == features(clip, picture())).all()


@pytest.mark.parametrize(("layer", "dim"), [("layer2", 512), ("layer4", 2048)])
def test_resnet_layers(layer, dim, resnet):
    encoder = load_encoder(Encoder(name="resnet50", weights="random", layer=layer), "cpu", "RGB")
    out = features(encoder, picture())
    assert out.shape == (1, dim)
    assert encoder.dim == dim
    if layer == "layer4":
        assert (out == features(resnet, picture())).all()


def test_resnet_avgpool_is_torchvisions(resnet):
    import torch
    from torchvision.models import resnet50

    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        model = resnet50().eval()
        model.fc = torch.nn.Identity()
        image = stack([resnet.preprocess(picture())])
        assert torch.allclose(model(image), resnet.encode(image), atol=1e-5)


def test_timm_drops_the_classifier_and_uses_its_own_transform():
    encoder = load_encoder(Encoder(name="timm:resnet18", weights="random"), "cpu", "RGB")
    white = encoder.preprocess(Image.new("RGB", (300, 300), "white"))
    assert np.allclose(
        white[:, 9, 9], (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]), atol=1e-4
    )
    assert features(encoder, picture()).shape == (1, 512)
    assert encoder.dim == 512


# precision


@pytest.mark.parametrize("name", [SMALL, "timm:resnet18"])
def test_bf16_is_close_to_fp32_and_comes_back_as_fp32(name):
    import torch

    images = [picture(seed=seed) for seed in range(3)]
    full, half = (
        features(load_encoder(Encoder(name=name, weights="random", precision=p), "cpu", "RGB"), *images)
        for p in ("fp32", "bf16")
    )
    assert half.dtype == torch.float32
    assert not torch.equal(full, half)
    assert torch.nn.functional.cosine_similarity(full, half).min() > 0.99


def test_pixels_ignore_precision():
    full, half = (
        features(load_encoder(Encoder(name="pixels", precision=p), "cpu", "RGB"), picture()) for p in ("fp32", "bf16")
    )
    assert (full == half).all()


def test_encoders_may_be_used_from_several_threads(clip):
    """The switch for exact convolutions is one for the process: it goes back only after the last thread."""
    import torch

    from dkvb.runtime.device import full_precision

    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with full_precision:
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    inside.wait(10)
    with full_precision:
        pass
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == (False, True)
    leave.set()
    other.join()
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before


# provenance


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


# local weights


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


# what is not there


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet5"}, "did you mean 'resnet50'"),
        ({"name": "open_clip:"}, "Unknown encoder.name 'open_clip:'"),
        ({"name": "open_clip:ViT-B-33"}, "no architecture 'ViT-B-33'; did you mean ViT-B-32"),
        ({"name": "timm:resnet81"}, "no architecture 'resnet81'; did you mean resnet18"),
        (
            {"name": "clip-vit-b32", "weights": "opnai"},
            "'opnai' is no tag of ViT-B-32-quickgelu; its tags are: openai, laion400m_e31",
        ),
        (
            {"name": "resnet50", "weights": "openai"},
            "'openai' is no tag of resnet50; its tags are: IMAGENET1K_V1, IMAGENET1K_V2",
        ),
        ({"name": "timm:resnet18", "weights": "nosuch"}, "no tag of resnet18; its tags are: a1_in1k"),
        ({"name": "resnet50", "layer": "layer5"}, "layer5' is no layer of resnet50; did you mean"),
        ({"name": "resnet50", "weights": "/nowhere/w.pt"}, "/nowhere/w.pt, which is no file"),
    ],
)
def test_refusals(settings, message):
    with pytest.raises(UsageError) as caught:
        load_encoder(Encoder(**settings), "cpu", "RGB")
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "file", "extra"),
    [
        ("clip-vit-b32", "ViT-B-32.pt", "'openai' of ViT-B-32-quickgelu"),
        ("resnet50", "resnet50-0676ba61.pth", "put resnet50-0676ba61.pth into"),
        ("timm:resnet18", "model.safetensors", "'default' of resnet18"),
    ],
)
def test_missing_weights_fail_soon_with_the_way_out(name, file, extra, tmp_path, monkeypatch, capfd):
    import torch
    from huggingface_hub import constants

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    started = time.monotonic()
    with pytest.raises(DkvbError) as caught:
        load_encoder(Encoder(name=name), "cpu", "RGB")
    assert time.monotonic() - started < 10
    text = str(caught.value)
    assert caught.value.exit_code == 1
    assert "not on this machine and their download failed (network is down)" in text
    assert f'encoder.weights = "/path/to/{file}"' in text
    assert extra in text
    assert constants.HF_HUB_OFFLINE is False
    assert capfd.readouterr().err == ""


def refuse(*args, **options):
    raise OSError("network is down")


def test_cached_weights_need_no_network(tmp_path, monkeypatch):
    """A tag whose file the library has is loaded without a single request, under the hub's offline switch."""
    import torch
    from torchvision.models import resnet50

    (tmp_path / "checkpoints").mkdir()
    torch.save(resnet50().state_dict(), tmp_path / "checkpoints" / "resnet50-0676ba61.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert load_encoder(Encoder(name="resnet50", layer="layer1"), "cpu", "RGB").dim == 256


def test_fetch_tries_the_cache_before_the_network(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(weights, "unreachable", lambda url: None)
    seen = []

    def load():
        seen.append(constants.HF_HUB_OFFLINE)
        if constants.HF_HUB_OFFLINE:
            raise FileNotFoundError
        return "weights"

    assert weights.fetch(load, "w", "w.pt") == "weights"
    assert seen == [True, False]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DkvbError, match="HF_HUB_OFFLINE"):
        weights.fetch(load, "w", "w.pt")


def test_fingerprints_of_weights(tmp_path):
    file = tmp_path / "w.pt"
    file.write_bytes(b"1")
    one = weights_fingerprint(Encoder(weights=str(file)))
    file.write_bytes(b"2")
    assert one.startswith("sha256:")
    assert one != weights_fingerprint(Encoder(weights=str(file)))
    assert weights_fingerprint(Encoder(name="pixels", weights="openai")) == "none"
    assert weights_fingerprint(Encoder(weights="random")) == "random"
    assert weights_fingerprint(Encoder()) == weights_fingerprint(Encoder(weights="openai")) == "tag:openai"
    assert weights_fingerprint(Encoder(name="resnet50")) == "tag:IMAGENET1K_V1"
    with pytest.raises(UsageError, match="no file"):
        weights_fingerprint(Encoder(weights=str(Path(tmp_path / "gone.pt"))))
