#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "files.h"
#include "process_memory.h"

namespace cli {
namespace {

#if defined(__linux__)
// The number behind `key` in a file whose lines read "KEY NUMBER ..."; 0 when there is none.
uint64_t number_in(const char* path, const char* key) {
    const File file(std::fopen(path, "r"));
    char line[256];
    while (file && std::fgets(line, sizeof line, file.get()) != nullptr) {
        uint64_t number = 0;
        if (std::strncmp(line, key, std::strlen(key)) != 0) continue;
        if (std::sscanf(line + std::strlen(key), "%" SCNu64, &number) == 1) return number;
    }
    return 0;
}
#endif

}  // namespace

uint64_t peak_resident_bytes() {
#if defined(__linux__)
    // Not ru_maxrss, which begins with the size of the program that started this one.
    if (const uint64_t n_kib = number_in("/proc/self/status", "VmHWM:")) return n_kib * 1024;
#endif
    struct rusage usage {};
    if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
#if defined(__APPLE__)
    constexpr uint64_t kUnit = 1;
#else
    constexpr uint64_t kUnit = 1024;
#endif
    return static_cast<uint64_t>(usage.ru_maxrss) * kUnit;
}

uint64_t available_memory() {
#if defined(__linux__)
    if (const uint64_t n_kib = number_in("/proc/meminfo", "MemAvailable:")) {
        const uint64_t limit = number_in("/sys/fs/cgroup/memory.max", "");  // of a container
        return limit > 0 ? std::min(n_kib * 1024, limit / 2) : n_kib * 1024;
    }
#endif
    const long n_pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_size = ::sysconf(_SC_PAGESIZE);
    if (n_pages <= 0 || page_size <= 0) return 0;
    return static_cast<uint64_t>(n_pages) / 2 * static_cast<uint64_t>(page_size);
}

void advise_large_pages([[maybe_unused]] void* memory, [[maybe_unused]] size_t n_bytes) {
#if defined(MADV_HUGEPAGE)
    // The call wants whole small pages: those that lie within.
    const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
    const auto end = (reinterpret_cast<uintptr_t>(memory) + n_bytes) / page * page;
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace cli
