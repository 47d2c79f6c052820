#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "base/large_pages.h"

namespace puna::core {

void advise_large_pages(void* memory, size_t size) {
#ifdef MADV_HUGEPAGE
    // The call wants whole small pages: those that lie within.
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
    const auto end = (reinterpret_cast<uintptr_t>(memory) + size) / page * page;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)size;
#endif
}

}  // namespace puna::core
