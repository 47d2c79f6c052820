#include "partial_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "errors.h"
#include "progress_bar.h"
#include "readable.h"

namespace cli {

PartialFile::PartialFile(const std::string& path, const std::string& etag, uint64_t whole_size,
                         const Interrupt& interrupt)
    : path_(path), whole_size_(whole_size), checksum_(etag, whole_size) {
    take_up(interrupt);
    file_.reset(open_file(path_, size_ == 0 ? "wb" : "ab"));
    if (!file_) fail("cannot be created");
    std::setvbuf(file_.get(), nullptr, _IONBF, 0);  // a write that fails is known at once
}

void PartialFile::take_up(const Interrupt& interrupt) {
    const File file(open_file(path_, "rb"));
    if (!file || file_size(path_) > whole_size_) return;
    ProgressBar bar("checking");
    std::vector<char> buffer(size_t{1} << 20);
    while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
        if (interrupt.cancel().is_triggered()) throw Interrupted();
        checksum_.add({buffer.data(), n});
        size_ += n;
        bar.show(static_cast<float>(size_) / static_cast<float>(whole_size_));
    }
    if (std::ferror(file.get()) != 0) fail("cannot be read");
}

void PartialFile::write(std::string_view bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
        fail("cannot be written");
    }
    checksum_.add(bytes);
    size_ += bytes.size();
}

void PartialFile::restart() {
    file_.reset(open_file(path_, "wb"));
    if (!file_) fail("cannot be created");
    std::setvbuf(file_.get(), nullptr, _IONBF, 0);
    checksum_.restart();
    size_ = 0;
}

bool PartialFile::finish(const std::string& name) {
    if (!checksum_.is_right()) return false;
    if (!flush_to_disk(file_.get())) fail("cannot be written");
    file_.reset();
    std::error_code error;
    std::filesystem::rename(native_path(path_), native_path(name), error);
    if (error) throw std::runtime_error(name + ": cannot be created: " + error.message());
    return true;
}

void PartialFile::fail(const char* what) const {
    const int error = errno;
    const std::string text = path_ + ": " + what + ": " + std::strerror(error);
    if (error != ENOSPC) throw std::runtime_error(text);
    throw std::runtime_error(text + ": " + readable_bytes(whole_size_ - size_) +
                             " more are needed; what is there is kept, and the same command goes "
                             "on with it");
}

}  // namespace cli
