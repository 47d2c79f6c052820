#include <fcntl.h>
#include <io.h>
#include <share.h>
#include <sys/locking.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "errors.h"
#include "file_lock.h"
#include "files.h"

namespace cli {

FileLock::FileLock(const std::string& path, const Interrupt& interrupt,
                   const std::function<void()>& on_wait) {
    const int file = _wsopen(native_path(path).c_str(), _O_RDWR | _O_CREAT | _O_NOINHERIT,
                             _SH_DENYNO, _S_IREAD | _S_IWRITE);
    if (file < 0) {
        throw std::runtime_error(path + ": cannot be created: " + std::strerror(errno));
    }
    bool has_waited = false;
    while (_locking(file, _LK_NBLCK, 1) != 0) {
        if (interrupt.cancel().is_triggered()) {
            _close(file);
            throw Interrupted();
        }
        if (!has_waited) on_wait();
        has_waited = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    file_ = file;
}

FileLock::~FileLock() {
    const int file = static_cast<int>(file_);
    _locking(file, _LK_UNLCK, 1);
    _close(file);
}

}  // namespace cli
