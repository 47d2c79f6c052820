#include "base/file_writer.h"

namespace puna::core {

Result<FileWriter> FileWriter::create(const std::string& path) {
    FileWriter file;
    file.path_ = path;
    PUNA_TRY_ASSIGN(file.target_, replaceable(path));
    for (int i = 1; i <= kMostTemporaries; ++i) {
        file.temporary_ = file.target_ + ".part-" + std::to_string(i);
        PUNA_TRY_ASSIGN(file.is_temporary_, file.create_temporary());
        if (file.is_temporary_) return file;
    }
    return make_status(PUNA_ERROR_IO,
                       "%s: cannot create: there are %d of %s.part-1 and so on: remove them",
                       path.c_str(), kMostTemporaries, file.target_.c_str());
}

Status FileWriter::append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        PUNA_TRY_ASSIGN(const size_t n, write_some(bytes));
        bytes = bytes.subspan(n);
    }
    return {};
}

}  // namespace puna::core
