#define _FILE_OFFSET_BITS 64
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/file_reader.h"
#include "base/mapped_file.h"
#include "base/os_error.h"

namespace puna::core {

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
    madvise(const_cast<std::byte*>(begin), static_cast<size_t>(end - begin), MADV_WILLNEED);
}

}  // namespace puna::core
