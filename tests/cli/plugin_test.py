"""The program finds the GPU plugin beside its library, wherever a package of both was unpacked."""

import os
import pathlib
import shutil
import sys
import unittest

from program import (BIN, EMULATOR, FOLDER, SUFFIX, WINDOWS, check_failure, output, run_program,
                     small_model)

LIBRARY = pathlib.Path(os.environ["PUNA_LIBRARY"])
FAKE_GPU = pathlib.Path(os.environ["PUNA_PLUGIN_DIR"]) / "puna-fake-gpu.plugin"
PLUGIN = ("puna-cuda.dll" if WINDOWS else
          "libpuna-cuda.dylib" if sys.platform == "darwin" else "libpuna-cuda.so")
ARGUMENTS = ("-p", "a story", "-n", "5", "--temperature", "0", "--kernels", "scalar")


class Plugin(unittest.TestCase):
    def test_is_found_beside_the_library(self):
        package = FOLDER / "mod\u00e8le-\u00f6-\u65e5\u672c"
        programs = package / "bin"
        libraries = programs if WINDOWS else package / "lib"
        programs.mkdir(parents=True)
        libraries.mkdir(exist_ok=True)
        shutil.copy(BIN / f"puna{SUFFIX}", programs)
        for path in LIBRARY.parent.glob(LIBRARY.name.partition(".")[0] + ".*"):
            shutil.copy(path, libraries)
        model = shutil.copy(small_model(), package / "\u0444\u0430\u0439\u043b.gguf")
        words = [*EMULATOR, programs / f"puna{SUFFIX}", "run", model, *ARGUMENTS]

        check_failure(self, run_program(words, "--gpu-layers", "all"), 1, "puna: --gpu-layers: ",
                      PLUGIN)
        shutil.copy(FAKE_GPU, libraries / PLUGIN)
        result = run_program(words, "--gpu-layers", "all")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, output("run", small_model(), *ARGUMENTS))


if __name__ == "__main__":
    unittest.main()
