#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/file_reader.h"
#include "base/file_writer.h"
#include "base/os_error.h"

namespace puna::core {

Result<std::string> FileWriter::replaceable(const std::string& path) {
    PUNA_TRY(check_path(path));
    struct stat info;
    if (stat(path.c_str(), &info) != 0) return path;  // new, or create() says why not
    if (!S_ISREG(info.st_mode)) {
        return make_status(PUNA_ERROR_IO, "%s: %s", path.c_str(),
                           S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file");
    }
    const std::unique_ptr<char, void (*)(void*)> target(realpath(path.c_str(), nullptr), std::free);
    if (!target) return io_error(path, "create");
    return std::string(target.get());
}

Result<bool> FileWriter::create_temporary() {
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY;
    do {
        handle_ = ::open(temporary_.c_str(), flags, 0666);
    } while (handle_ < 0 && errno == EINTR);
    if (handle_ >= 0) return true;
    if (errno == EEXIST) return false;
    return io_error(path_, "create");
}

FileWriter::~FileWriter() {
    if (handle_ != kNoHandle) close(static_cast<int>(handle_));
    if (is_temporary_) unlink(temporary_.c_str());
}

Result<size_t> FileWriter::write_some(std::span<const std::byte> bytes) {
    // Some systems refuse writes of 2 GiB and more at once.
    const size_t size = std::min<size_t>(bytes.size(), size_t{1} << 30);
    ssize_t n = 0;
    do {
        n = write(static_cast<int>(handle_), bytes.data(), size);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return io_error(path_, "write");
    return static_cast<size_t>(n);
}

Status FileWriter::close_file() {
    const int result = close(static_cast<int>(handle_));
    handle_ = kNoHandle;  // gone in any case
    if (result != 0 && errno != EINTR) return io_error(path_, "close");
    return {};
}

Status FileWriter::commit() {
    PUNA_TRY(close_file());
    if (std::rename(temporary_.c_str(), target_.c_str()) != 0) {
        return io_error(path_, "replace");
    }
    is_temporary_ = false;
    return {};
}

}  // namespace puna::core
