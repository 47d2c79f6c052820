#include <windows.h>

#include <algorithm>

#include "base/file_writer.h"
#include "base/os_error.h"
#include "base/wide_path.h"

namespace puna::core {

Result<std::string> FileWriter::replaceable(const std::string& path) {
    PUNA_TRY_ASSIGN(const std::wstring wide, wide_path(path));
    const DWORD attributes = GetFileAttributesW(wide.c_str());
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        return make_status(PUNA_ERROR_IO, "%s: is a directory", path.c_str());
    }
    return path;
}

Result<bool> FileWriter::create_temporary() {
    PUNA_TRY_ASSIGN(const std::wstring wide, wide_path(temporary_));
    const HANDLE handle = CreateFileW(wide.c_str(), GENERIC_WRITE, FILE_SHARE_DELETE, nullptr,
                                      CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (handle == INVALID_HANDLE_VALUE) {
        if (GetLastError() == ERROR_FILE_EXISTS) return false;
        return io_error(path_, "create");
    }
    handle_ = reinterpret_cast<intptr_t>(handle);
    return true;
}

FileWriter::~FileWriter() {
    if (handle_ != kNoHandle) CloseHandle(reinterpret_cast<HANDLE>(handle_));
    if (!is_temporary_) return;
    const auto wide = wide_path(temporary_);
    if (wide.ok()) DeleteFileW(wide->c_str());
}

Result<size_t> FileWriter::write_some(std::span<const std::byte> bytes) {
    const DWORD size = static_cast<DWORD>(std::min<size_t>(bytes.size(), size_t{1} << 30));
    DWORD n = 0;
    if (!WriteFile(reinterpret_cast<HANDLE>(handle_), bytes.data(), size, &n, nullptr)) {
        return io_error(path_, "write");
    }
    return static_cast<size_t>(n);
}

Status FileWriter::close_file() {
    const BOOL closed = CloseHandle(reinterpret_cast<HANDLE>(handle_));
    handle_ = kNoHandle;
    return closed ? Status() : io_error(path_, "close");
}

Status FileWriter::commit() {
    PUNA_TRY(close_file());
    PUNA_TRY_ASSIGN(const std::wstring from, wide_path(temporary_));
    PUNA_TRY_ASSIGN(const std::wstring to, wide_path(target_));
    if (!MoveFileExW(from.c_str(), to.c_str(), MOVEFILE_REPLACE_EXISTING)) {
        return io_error(path_, "replace");
    }
    is_temporary_ = false;
    return {};
}

}  // namespace puna::core
