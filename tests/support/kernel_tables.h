#pragma once

#include <string_view>
#include <vector>

#include "base/amx_permission.h"
#include "base/cpu_features.h"
#include "cpu/kernel_table.h"
#include "puna/puna_backend.h"
#include "support/amx_emulator.h"

namespace puna::test {

// A table for every kernel set that a processor with these features runs, as far as the system allows.
inline std::vector<core::KernelTable> kernel_tables(uint64_t features) {
    std::vector<core::KernelTable> tables;
    for (const char* name : core::kernel_set_names()) {
        auto table = core::choose_kernels(features, name);
        if (!table.ok()) continue;
        const bool wants_tiles = (table->features & core::kCpuAmxTile) != 0;
        if (wants_tiles && !amx_is_emulated() && !core::request_amx_permission().ok()) continue;
        tables.push_back(*table);
    }
    return tables;
}

// Those of this machine: tests of kernels go through all of them.
inline std::vector<core::KernelTable> runnable_kernel_tables() {
    return kernel_tables(core::detect_cpu_features());
}

// These, and that of AMX where it can only be emulated: for what is not about speed.
inline std::vector<core::KernelTable> testable_kernel_tables() {
    return kernel_tables(with_emulated_amx(core::detect_cpu_features()));
}

// Where the linear kernels of a set keep 16 bits of the activations that meet weights in bytes: how
// many of them share a scale. 0: nothing is rounded.
inline int32_t rounded_group(std::string_view set, int32_t format = PUNA_FORMAT_Q8_0) {
    const bool is_k_quant = format >= PUNA_FORMAT_Q2_K && format <= PUNA_FORMAT_Q6_K;
    if (set == "avx2" || set == "avx2_vnni") return is_k_quant ? 256 : 32;
    if (set.starts_with("avx") || set == "amx" || set == "neon" || set == "neon_i8mm") return 32;
    return 0;
}

}  // namespace puna::test
