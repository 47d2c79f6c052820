// Makes a processor with AMX out of any that has AVX512_BF16: the linker puts these two in the place
// of the library's own functions.
#include <gtest/gtest.h>

#include "base/amx_permission.h"
#include "base/cpu_features.h"
#include "support/amx_emulator.h"
#include "support/engine_fixture.h"

namespace {
bool system_refuses_amx = false;
}

extern "C" {
uint64_t __real__ZN4puna4core19detect_cpu_featuresEv();
uint64_t __wrap__ZN4puna4core19detect_cpu_featuresEv() {
    return puna::test::with_emulated_amx(__real__ZN4puna4core19detect_cpu_featuresEv());
}

puna::core::Status __real__ZN4puna4core22request_amx_permissionEv();
puna::core::Status __wrap__ZN4puna4core22request_amx_permissionEv() {
    if (system_refuses_amx) {
        return puna::core::make_status(PUNA_ERROR_UNSUPPORTED, "no tiles for this process");
    }
    puna::core::Status status = __real__ZN4puna4core22request_amx_permissionEv();
    return status.ok() || puna::test::amx_is_emulated() ? puna::core::Status() : status;
}
}

// Without it the other tests of this program have no kernel set to go through.
TEST(AmxProcessor, RunsTheKernelSet) {
    if (!(puna::core::detect_cpu_features() & puna::core::kCpuAmxTile)) {
        GTEST_SKIP() << "neither AMX nor the AVX512_BF16 that emulating it takes";
    }
    EXPECT_EQ(puna::test::machine_kernels(), std::vector<std::string>{"amx"});
}

TEST(AmxProcessor, TakesTheNextKernelSetWhereTheSystemRefusesTiles) {
    const uint64_t features = puna::core::detect_cpu_features();
    if (!(features & puna::core::kCpuAmxTile)) {
        GTEST_SKIP() << "neither AMX nor the AVX512_BF16 that emulating it takes";
    }
    system_refuses_amx = true;
    std::string lines;
    puna::RuntimeOptions options;
    options.n_threads = 1;
    options.on_log = [&](int32_t level, std::string_view text) {
        if (level == PUNA_LOG_WARNING) lines.append(text) += '\n';
    };
    const auto made = puna::Runtime::try_create(options);
    options.kernels = "amx";
    const auto named = puna::Runtime::try_create(options);
    system_refuses_amx = false;

    ASSERT_TRUE(made.ok()) << made.failure().message;
    EXPECT_EQ(lines, "kernels: avx512_bf16 instead of amx: no tiles for this process\n");
    ASSERT_FALSE(named.ok());
    EXPECT_EQ(named.failure().message, "kernels: 'amx' cannot run: no tiles for this process");
}
