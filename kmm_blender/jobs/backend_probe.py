"""Run by the Python in question: can it run the worker? Prints one line of JSON that starts with "KMM ".

Standard library only, in words that old Pythons understand too, so that they can say what is missing.
"""

import json
import platform
import struct
import sys
import time

# Besides torch; what kmm_core/worker.py needs, and nothing that only training or the command line do.
PACKAGES = ("numpy", "safetensors.torch", "tokenizers", "einops")


def probe():
    """What this Python can do, as a dictionary; "missing" or "problem" say what stands against it."""
    found = {
        "python_version": platform.python_version(),
        "bits": struct.calcsize("P") * 8,
        "executable": sys.executable,
        "torch": "",
        "device": "cpu",
        "device_name": "",
        "device_memory": 0,
        "missing": "",
        "problem": "",
        "note": "",
    }
    if sys.version_info < (3, 10) or found["bits"] != 64:
        return found
    started = time.time()
    for name in ("torch",) + PACKAGES:
        try:
            __import__(name)
        except ImportError as error:
            top = name.split(".")[0]
            # A package that isn't there is one thing, one that is there and can't be loaded another.
            if isinstance(error, ModuleNotFoundError) and error.name == top:
                found["missing"] += (", " if found["missing"] else "") + top
            else:
                found["problem"] = "import " + name + ": " + str(error)
        except Exception as error:
            found["problem"] = "import " + name + ": " + type(error).__name__ + ": " + str(error)
    if found["missing"] or found["problem"]:
        return found
    import torch

    found["torch"] = str(torch.__version__)
    try:
        compute(torch, "cpu")
    except Exception as error:
        found["problem"] = "a sum in torch: " + type(error).__name__ + ": " + str(error)
        return found
    if torch.cuda.is_available():
        try:
            compute(torch, "cuda")
            card = torch.cuda.get_device_properties(0)
            found.update(device="cuda", device_name=card.name, device_memory=int(card.total_memory))
        except Exception as error:
            found["note"] = (
                "The graphics card is not used: " + type(error).__name__ + ": " + str(error).split("\n")[0]
            )
    found["seconds"] = round(time.time() - started, 2)
    return found


def compute(torch, device):
    """A small matrix product with a known answer: a build for another card imports well and fails here."""
    ones = torch.ones(64, 64, device=device)
    total = float((ones @ ones).sum())
    if total != 64.0**3:
        raise ArithmeticError("64^3 came out as " + str(total))


if __name__ == "__main__":
    del sys.path[0]  # this script's folder, which holds no package
    print("KMM " + json.dumps(probe()))
