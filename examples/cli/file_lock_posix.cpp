#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "errors.h"
#include "file_lock.h"

namespace cli {
namespace {

int open_lock(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file >= 0) return file;
    throw std::runtime_error(path + ": cannot be created: " + std::strerror(errno));
}

// Whoever held the lock before may have removed the file.
bool is_still_there(int file, const std::string& path) {
    struct stat held, named;
    return ::fstat(file, &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

}  // namespace

FileLock::FileLock(const std::string& path, const Interrupt& interrupt,
                   const std::function<void()>& on_wait) {
    bool has_waited = false;
    for (;;) {
        const int file = open_lock(path);
        const bool is_locked = ::flock(file, LOCK_EX | LOCK_NB) == 0;
        const int error = is_locked ? EINTR : errno;
        if (is_locked && is_still_there(file, path)) {
            file_ = file;
            return;
        }
        ::close(file);
        if (error != EWOULDBLOCK && error != EINTR) {
            throw std::runtime_error(path + ": cannot be locked: " + std::strerror(error) +
                                     ": set HF_HUB_CACHE to a folder on a local disk");
        }
        if (interrupt.cancel().is_triggered()) throw Interrupted();
        if (!has_waited) on_wait();
        has_waited = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
}

FileLock::~FileLock() {
    ::close(static_cast<int>(file_));
}

}  // namespace cli
