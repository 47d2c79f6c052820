#include <unistd.h>

#if defined(__linux__)
#include <sched.h>

#include <cerrno>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include <algorithm>

#include "base/cpu_topology.h"

namespace puna::core {
namespace {

#if defined(__linux__)

std::vector<int> allowed_cpus() {
    std::vector<int> cpus;
    // The kernel refuses a set that is smaller than its own, whose size it does not tell.
    for (size_t n = 1024; n <= 65536; n *= 2) {
        cpu_set_t* set = CPU_ALLOC(n);
        if (!set) return cpus;
        const size_t size = CPU_ALLOC_SIZE(n);
        const bool fits = sched_getaffinity(0, size, set) == 0;
        const bool too_small = !fits && errno == EINVAL;
        for (size_t cpu = 0; fits && cpu < n; ++cpu) {
            if (CPU_ISSET_S(cpu, size, set)) cpus.push_back(static_cast<int>(cpu));
        }
        CPU_FREE(set);
        if (!too_small) break;
    }
    return cpus;
}

int count_system_cores() {
    return count_cores("/sys/devices/system/cpu", allowed_cpus());
}

#else

int count_system_cores() {
#if defined(__APPLE__)
    int n_cores = 0;
    size_t size = sizeof n_cores;
    if (sysctlbyname("hw.physicalcpu", &n_cores, &size, nullptr, 0) == 0) return n_cores;
#endif
    return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

#endif

}  // namespace

int default_thread_count() {
    int n_threads = count_system_cores();
    const double quota = cgroup_cpu_quota("");
    if (quota > 0 && quota < n_threads) n_threads = static_cast<int>(quota);
    return std::max(n_threads, 1);
}

}  // namespace puna::core
