#pragma once

#include <vector>

#include "base/cpu_features.h"
#include "cpu/kernel_table.h"

namespace puna::test {

// A table for every kernel set that this machine runs: tests of kernels go through all of them.
inline std::vector<core::KernelTable> runnable_kernel_tables() {
    std::vector<core::KernelTable> tables;
    for (const char* name : core::kernel_set_names()) {
        auto table = core::choose_kernels(core::detect_cpu_features(), name);
        if (table.ok()) tables.push_back(*table);
    }
    return tables;
}

}  // namespace puna::test
