#include <windows.h>

#include <algorithm>

#include "base/file_reader.h"
#include "base/os_error.h"
#include "base/wide_path.h"

namespace puna::core {

Result<FileReader> FileReader::open(const std::string& path) {
    PUNA_TRY_ASSIGN(const std::wstring wide, wide_path(path));
    FileReader file;
    file.path_ = path;
    const HANDLE handle = CreateFileW(wide.c_str(), GENERIC_READ,
                                      FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                      nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (handle == INVALID_HANDLE_VALUE) return io_error(path, "open");
    file.handle_ = reinterpret_cast<intptr_t>(handle);

    if (GetFileType(handle) != FILE_TYPE_DISK) {
        return make_status(PUNA_ERROR_IO, "%s: is not a regular file", path.c_str());
    }
    LARGE_INTEGER size;
    if (!GetFileSizeEx(handle, &size)) return io_error(path, "stat");
    file.size_ = static_cast<uint64_t>(size.QuadPart);
    return file;
}

FileReader::~FileReader() {
    if (handle_ != kNoHandle) CloseHandle(reinterpret_cast<HANDLE>(handle_));
}

Result<size_t> FileReader::read_some(uint64_t offset, std::span<std::byte> out) const {
    OVERLAPPED at = {};
    at.Offset = static_cast<DWORD>(offset);
    at.OffsetHigh = static_cast<DWORD>(offset >> 32);
    const DWORD size = static_cast<DWORD>(std::min<size_t>(out.size(), size_t{1} << 30));
    DWORD n = 0;
    if (!ReadFile(reinterpret_cast<HANDLE>(handle_), out.data(), size, &n, &at) &&
        GetLastError() != ERROR_HANDLE_EOF) {
        return io_error("read");
    }
    return static_cast<size_t>(n);
}

}  // namespace puna::core
