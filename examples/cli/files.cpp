#include "files.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>
#include <stdexcept>

#include "errors.h"

namespace cli {
namespace {

std::string read_all(std::FILE* file, const std::string& name, const Interrupt& interrupt) {
    std::string text;
    std::array<char, 1 << 16> buffer;
    for (;;) {
        const size_t size = std::fread(buffer.data(), 1, buffer.size(), file);
        const int error = errno;
        text.append(buffer.data(), size);
        if (interrupt.cancel().is_triggered()) throw Interrupted();
        if (size == buffer.size()) continue;
        if (std::ferror(file) == 0) return text;
        if (error != EINTR) {
            throw std::runtime_error(name + ": cannot be read: " + std::strerror(error));
        }
        std::clearerr(file);
    }
}

// The file that a path names, behind symbolic links, or would make; none for devices and what else is
// no file of its own.
std::optional<std::filesystem::path> replaceable(std::filesystem::path path) {
    constexpr int kMostLinks = 40;
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return {};
    const auto wanted = path;
    for (int i = 0; i < kMostLinks; ++i) {
        if (!std::filesystem::is_symlink(std::filesystem::symlink_status(path, error))) break;
        path = path.parent_path() / std::filesystem::read_symlink(path, error);
        if (error) return {};
    }
    // A link of /proc need not say what it leads to.
    if (std::filesystem::exists(status) && !std::filesystem::equivalent(wanted, path, error)) {
        return {};
    }
    return path;
}

}  // namespace

std::filesystem::path native_path(const std::string& utf8) {
    return std::u8string(utf8.begin(), utf8.end());
}

std::string utf8_path(const std::filesystem::path& path) {
    const std::u8string text = path.generic_u8string();
    return {text.begin(), text.end()};
}

std::string read_file(const std::string& path, const Interrupt& interrupt) {
    if (path == "-") return read_all(stdin, "standard input", interrupt);
    const File file(open_file(path, "rb"));
    if (!file) throw std::runtime_error(path + ": cannot be opened: " + std::strerror(errno));
    return read_all(file.get(), path, interrupt);
}

bool is_same_file(const std::string& a, const std::string& b) {
    std::error_code error;
    return std::filesystem::equivalent(native_path(a), native_path(b), error) && !error;
}

uint64_t file_size(const std::string& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(native_path(path), error);
    return error ? 0 : size;
}

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
    if (path_ == "-") return;
    if (const auto target = replaceable(native_path(path_))) {
        target_ = *target;
        temporary_ = utf8_path(target_) + ".part-" + std::to_string(std::random_device()());
    }
    file_.reset(open_file(temporary_.empty() ? path_ : temporary_, "wb"));
    if (!file_) {
        const int error = errno;
        temporary_.clear();  // not ours to remove
        errno = error;
        fail("cannot be created");
    }
}

OutputFile::~OutputFile() {
    file_.reset();
    if (temporary_.empty()) return;
    std::error_code ignored;
    std::filesystem::remove(native_path(temporary_), ignored);
}

void OutputFile::write(std::string_view bytes) {
    if (!file_) return write_output(bytes);
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
        fail("cannot be written");
    }
}

void OutputFile::finish() {
    if (file_ && std::fclose(file_.release()) != 0) fail("cannot be written");
    if (temporary_.empty()) return;
    std::error_code error;
    std::filesystem::rename(native_path(temporary_), target_, error);
    if (error) throw std::runtime_error(path_ + ": cannot be replaced: " + error.message());
    temporary_.clear();
}

void OutputFile::fail(const char* what) const {
    throw std::runtime_error(path_ + ": " + what + ": " + std::strerror(errno));
}

}  // namespace cli
