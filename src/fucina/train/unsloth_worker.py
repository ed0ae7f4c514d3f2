"""Trains one adapter with Unsloth, in an environment of its own: python unsloth_worker.py FOLDER.

It imports nothing of Fucina, which starts it, tells it in FOLDER/job.json what to do, and decides
after each epoch whether it goes on. It says what it did in lines of JSON on its standard output;
whatever libraries print goes to standard error.
"""

import json
import sys
import time
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["main"]

IGNORED = -100  # the label of a token that is not learnt


def main(arguments: list[str]) -> None:
    """Run the job of a folder, or with --check say whether this environment could."""
    # Python looks beside a script first, where modules of Fucina would hide those of libraries.
    own = Path(__file__).resolve().parent
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != own]
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        if arguments == ["--check"]:
            _tell(answers, **_check())
            return
        folder = Path(arguments[0])
        job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        model = _load(job)
        _start(model, folder)
        for facts in _epochs(model, job, folder, answers):
            _tell(answers, **facts)
            if sys.stdin.readline().strip() != "on":
                return


def _check() -> dict[str, Any]:
    try:
        unsloth = import_module("unsloth")
    except Exception as error:  # it refuses machines in many ways
        return {"problem": (str(error).splitlines() or [type(error).__name__])[0]}
    import torch

    if _device(unsloth) == "cuda" and not torch.cuda.is_available():
        return {"problem": "there is no CUDA GPU"}
    return {"version": getattr(unsloth, "__version__", "unknown")}


def _device(unsloth: Any) -> str:
    found = getattr(unsloth, "DEVICE_TYPE", "cuda")
    return "cuda" if found == "hip" else found


def _load(job: dict[str, Any]) -> Any:
    maker = import_module("unsloth").FastLanguageModel
    adapter = job["adapter"]
    model, _ = maker.from_pretrained(
        model_name=job["base"],
        max_seq_length=job["max_length_tokens"],
        load_in_4bit=job["quantize"] == "nf4",
        dtype=None,
    )
    return maker.get_peft_model(
        model,
        r=adapter["rank"],
        lora_alpha=adapter["alpha"],
        lora_dropout=adapter["dropout"],
        target_modules=adapter["modules"],
        layers_to_transform=adapter["layers"],
        bias="none",
        use_rslora=adapter["rslora"],
        use_gradient_checkpointing="unsloth" if job["checkpointing"] else False,
        random_state=job["seed"],
    )


def _start(model: Any, folder: Path) -> None:
    """Begin where Fucina's own adapters would."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    found = set_peft_model_state_dict(model, load_file(folder / "start.safetensors"))
    if found.unexpected_keys:
        raise SystemExit(f"Unsloth puts no adapter on {found.unexpected_keys[0]}.")


def _epochs(model: Any, job: dict[str, Any], folder: Path, answers: Any) -> Any:
    import torch

    device = _device(import_module("unsloth"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    settings = {"lr": job["learning_rate"], "weight_decay": job["weight_decay"]}
    if job["optimizer"] == "adamw_8bit":
        optimizer = import_module("bitsandbytes").optim.AdamW8bit(trained, **settings)
    else:
        optimizer = torch.optim.AdamW(trained, **settings)
    total, done = sum(map(len, job["batches"])), 0
    for epoch, steps in enumerate([[], *job["batches"]]):  # first it is judged as it begins
        model.train()
        began, losses, tokens, norms, share = time.time(), 0.0, 0.0, 0.0, 0.0
        for rows in steps:
            share = job["shares"][done]
            optimizer.param_groups[0]["lr"] = job["learning_rate"] * share
            loss, learnt = _summed(model, job, rows, device, backward=True)
            norm = torch.nn.utils.clip_grad_norm_(trained, job["max_gradient_norm"])
            optimizer.step()
            optimizer.zero_grad()
            losses, tokens, norms = losses + loss, tokens + learnt, norms + float(norm)
            done += 1
            _tell(answers, event="step", done=done, total=total)
        seconds = time.time() - began
        model.eval()
        with torch.no_grad():
            held, weight = _summed(model, job, job["held_out"], device, backward=False)
        model.save_pretrained(str(folder / f"epoch{epoch}"))
        yield {
            "event": "epoch",
            "epoch": epoch,
            "train_loss": losses / tokens if steps else None,
            "validation_loss": held / weight,
            "gradient_norm": norms / len(steps) if steps else None,
            "learning_rate": job["learning_rate"] * share,
            "seconds": seconds,
        }


def _summed(
    model: Any, job: dict[str, Any], rows: list[int], device: str, *, backward: bool
) -> tuple[float, float]:
    """Summed loss and count of the learnt tokens of some rows; the mean is over all of them."""
    import torch

    given = [job["rows"][row] for row in rows]
    count = sum(sum(row["learnt"][1:]) for row in given)
    size, loss = job["batch_size"], 0.0
    for begin in range(0, len(given), size):
        part = given[begin : begin + size]
        longest = max(len(row["ids"]) for row in part)
        ids = torch.zeros(len(part), longest, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
        for i, row in enumerate(part):
            own, learnt = torch.tensor(row["ids"]), torch.tensor(row["learnt"]).bool()
            ids[i, : len(own)], mask[i, : len(own)] = own, 1
            labels[i, : len(own)] = torch.where(learnt, own, IGNORED)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            found = model(
                input_ids=ids.to(device), attention_mask=mask.to(device),
                labels=labels.to(device), num_items_in_batch=count,
            ).loss  # fmt: skip
        if backward:
            found.backward()
        loss += float(found.detach())
    return loss * count, count


def _tell(answers: Any, **facts: Any) -> None:
    answers.write(json.dumps(facts) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
