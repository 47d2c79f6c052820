#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/file_reader.h"
#include "base/os_error.h"

namespace puna::core {

Result<FileReader> FileReader::open(const std::string& path) {
    PUNA_TRY(check_path(path));
    FileReader file;
    file.path_ = path;
    // Not blocking: the path may name a FIFO that nobody writes to.
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    do {
        file.handle_ = ::open(path.c_str(), flags);
    } while (file.handle_ < 0 && errno == EINTR);
    if (file.handle_ < 0) return io_error(path, "open");

    struct stat info;
    if (fstat(static_cast<int>(file.handle_), &info) != 0) return io_error(path, "stat");
    if (!S_ISREG(info.st_mode)) {
        return make_status(PUNA_ERROR_IO, "%s: %s", path.c_str(),
                           S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file");
    }
    file.size_ = static_cast<uint64_t>(info.st_size);
    return file;
}

FileReader::~FileReader() {
    if (handle_ != kNoHandle) close(static_cast<int>(handle_));
}

Result<size_t> FileReader::read_some(uint64_t offset, std::span<std::byte> out) const {
    // No file reaches beyond what off_t can say.
    if (offset > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) return size_t{0};
    // Some systems refuse reads of 2 GiB and more at once.
    const size_t size = std::min<size_t>(out.size(), size_t{1} << 30);
    ssize_t n = 0;
    do {
        n = pread(static_cast<int>(handle_), out.data(), size, static_cast<off_t>(offset));
    } while (n < 0 && errno == EINTR);
    if (n < 0) return io_error("read");
    return static_cast<size_t>(n);
}

}  // namespace puna::core
