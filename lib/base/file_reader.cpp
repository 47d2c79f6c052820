#include "base/file_reader.h"

#include <algorithm>

#include "base/checked.h"

namespace puna::core {

Status FileReader::read_at(uint64_t offset, std::span<std::byte> out) const {
    uint64_t end = 0;
    if (!checked_add<uint64_t>(offset, out.size(), &end)) {
        return make_status(PUNA_ERROR_TRUNCATED, "no file holds %zu bytes at offset %llu",
                           out.size(), static_cast<unsigned long long>(offset));
    }
    size_t done = 0;
    while (done < out.size()) {
        PUNA_TRY_ASSIGN(const size_t n, read_some(offset + done, out.subspan(done)));
        if (n == 0) {
            return make_status(PUNA_ERROR_TRUNCATED,
                               "the file ends at byte %llu, bytes up to %llu were expected",
                               static_cast<unsigned long long>(offset + done),
                               static_cast<unsigned long long>(end));
        }
        done += n;
    }
    return Status();
}

Result<std::string> read_text_file(const std::string& path, size_t max_size) {
    PUNA_TRY_ASSIGN(const FileReader file, FileReader::open(path));
    std::string text;
    for (;;) {
        const size_t done = text.size();
        text.resize(std::min(std::max<size_t>(2 * done, 4096), max_size + 1));
        const Result<size_t> n =
            file.read_some(done, std::as_writable_bytes(std::span(text).subspan(done)));
        if (!n.ok()) return n.status().within(path.c_str());
        text.resize(done + *n);
        if (*n == 0) return text;
        if (text.size() > max_size) {
            return make_status(PUNA_ERROR_IO, "%s: longer than %zu bytes", path.c_str(), max_size);
        }
    }
}

Status check_path(const std::string& path) {
    if (path.empty()) return make_status(PUNA_ERROR_ARGUMENT, "the path is empty");
    if (path.find('\0') != std::string::npos) {
        return make_status(PUNA_ERROR_ARGUMENT, "%s: the path contains a NUL", path.c_str());
    }
    return Status();
}

}  // namespace puna::core
