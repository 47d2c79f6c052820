// The plugin under test: the one compiled with the emulator, or that for a real GPU which the environment
// variable PUNA_TEST_CUDA_PLUGIN names.
#pragma once

#include <cstdlib>
#include <string>

namespace puna::test {

inline std::string cuda_plugin() {
    const char* path = std::getenv("PUNA_TEST_CUDA_PLUGIN");
    return path && *path ? path : PUNA_TEST_PLUGIN_DIR "/puna-cuda-emulated.plugin";
}

inline bool is_emulated() {
    return cuda_plugin().find("puna-cuda-emulated") != std::string::npos;
}

}  // namespace puna::test

// For tests that set how much memory and how many devices there are, or count bytes of them.
#define PUNA_SKIP_WITHOUT_EMULATOR() \
    if (!::puna::test::is_emulated()) GTEST_SKIP() << "only the emulator can do that"
