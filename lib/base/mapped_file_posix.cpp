#define _FILE_OFFSET_BITS 64
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/file_reader.h"
#include "base/large_pages.h"
#include "base/mapped_file.h"
#include "base/os_error.h"

namespace puna::core {

namespace {

// Reads a page in each large one: that is what makes the system read them whole. Reading ahead by advice
// alone fills small pages. Ends at the first that was not read whole: the system has none for this file.
// Failures, such as that of a file cut short meanwhile, show when it is used.
void touch_large_pages(const std::byte* begin, const std::byte* end) {
#ifdef __linux__
    constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ of Linux 5.14; older headers lack it
    constexpr auto kStep = static_cast<ptrdiff_t>(kLargePage);
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    for (const std::byte* at = begin; at < end;) {
        if (madvise(const_cast<std::byte*>(at), page, kPopulateRead) != 0) return;
        const auto into = static_cast<ptrdiff_t>(reinterpret_cast<uintptr_t>(at) % kLargePage);
        if (end - at <= kStep - into) return;
        at += kStep - into;
        unsigned char is_there = 0;
        void* last = const_cast<std::byte*>(at - page);
        if (mincore(last, page, &is_there) != 0 || !(is_there & 1)) return;
    }
#else
    (void)begin;
    (void)end;
#endif
}

}  // namespace

size_t MappedFile::mapping_granularity() {
    return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

Result<void*> MappedFile::map_pages(const FileReader& file, uint64_t aligned_offset, size_t size) {
    void* base = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, static_cast<int>(file.native_handle()),
                      static_cast<off_t>(aligned_offset));
    if (base == MAP_FAILED) {
        return make_status(PUNA_ERROR_IO, "%s: cannot map %zu bytes: %s", file.path().c_str(), size,
                           os_error_text(last_os_error()).text);
    }
    advise_large_pages(base, size);
    return base;
}

void MappedFile::unmap() noexcept {
    if (base_) munmap(base_, mapped_size_);
}

void MappedFile::prefetch(size_t offset, size_t length) const {
    if (offset >= size_) return;
    const std::byte* begin = data_ + offset;
    const std::byte* end = begin + std::min(length, size_ - offset);
    const size_t into_page = reinterpret_cast<uintptr_t>(begin) % mapping_granularity();
    begin -= into_page;
    touch_large_pages(begin, end);
    madvise(const_cast<std::byte*>(begin), static_cast<size_t>(end - begin), MADV_WILLNEED);
}

}  // namespace puna::core
