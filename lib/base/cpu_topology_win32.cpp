// Processor groups need Windows 7, job CPU rates Windows 8.
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0602
#include <windows.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/cpu_topology.h"

namespace puna::core {
namespace {

// The processors of one group that the process may use; all, when it spans several groups.
struct Affinity {
    bool one_group = false;
    WORD group = 0;
    DWORD_PTR mask = 0;

    bool allows(const GROUP_AFFINITY& core) const {
        return !one_group || (core.Group == group && (core.Mask & mask) != 0);
    }
};

Affinity process_affinity() {
    Affinity affinity;
    USHORT groups[1] = {0};
    USHORT n_groups = 1;
    DWORD_PTR system_mask = 0;
    affinity.one_group =
        GetProcessGroupAffinity(GetCurrentProcess(), &n_groups, groups) &&
        GetProcessAffinityMask(GetCurrentProcess(), &affinity.mask, &system_mask) &&
        affinity.mask != 0;
    affinity.group = groups[0];
    return affinity;
}

int count_cores_of_process() {
    DWORD size = 0;
    GetLogicalProcessorInformationEx(RelationProcessorCore, nullptr, &size);
    std::vector<std::byte> data(size);
    auto* const first = reinterpret_cast<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX*>(data.data());
    if (!GetLogicalProcessorInformationEx(RelationProcessorCore, first, &size)) return 1;

    const Affinity affinity = process_affinity();
    int n_cores = 0;
    for (DWORD at = 0; at < size;) {
        const auto* core =
            reinterpret_cast<const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX*>(data.data() + at);
        if (affinity.allows(core->Processor.GroupMask[0])) ++n_cores;
        at += core->Size;
    }
    return n_cores;
}

// The hard cap of the job (container) that the process runs in, in processors; 0 for none.
double job_cpu_quota() {
    JOBOBJECT_CPU_RATE_CONTROL_INFORMATION info = {};
    if (!QueryInformationJobObject(nullptr, JobObjectCpuRateControlInformation, &info, sizeof info,
                                   nullptr)) {
        return 0;
    }
    constexpr DWORD kHardCap =
        JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
    if ((info.ControlFlags & kHardCap) != kHardCap) return 0;
    // In hundredths of a percent of all processors.
    return info.CpuRate / 10000.0 * GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
}

}  // namespace

int default_thread_count() {
    int n_threads = count_cores_of_process();
    const double quota = job_cpu_quota();
    if (quota > 0 && quota < n_threads) n_threads = static_cast<int>(quota);
    return std::max(n_threads, 1);
}

}  // namespace puna::core
