// PrefetchVirtualMemory needs Windows 8.
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0602
#include <windows.h>

#include <algorithm>

#include "base/file_reader.h"
#include "base/mapped_file.h"
#include "base/os_error.h"

namespace puna::core {

size_t MappedFile::mapping_granularity() {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwAllocationGranularity;
}

Result<void*> MappedFile::map_pages(const FileReader& file, uint64_t aligned_offset, size_t size) {
    void* base = nullptr;
    const HANDLE section = CreateFileMappingW(reinterpret_cast<HANDLE>(file.native_handle()),
                                              nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (section) {
        base = MapViewOfFile(section, FILE_MAP_READ, static_cast<DWORD>(aligned_offset >> 32),
                             static_cast<DWORD>(aligned_offset), size);
    }
    const int64_t error = last_os_error();
    if (section) CloseHandle(section);  // the view keeps it alive
    if (!base) {
        return make_status(PUNA_ERROR_IO, "%s: cannot map %zu bytes: %s", file.path().c_str(), size,
                           os_error_text(error).text);
    }
    return base;
}

void MappedFile::unmap() noexcept {
    if (base_) UnmapViewOfFile(base_);
}

void MappedFile::prefetch(size_t offset, size_t length) const {
    if (offset >= size_) return;
    WIN32_MEMORY_RANGE_ENTRY range;
    range.VirtualAddress = const_cast<std::byte*>(data_ + offset);
    range.NumberOfBytes = std::min(length, size_ - offset);
    PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

}  // namespace puna::core
