#include "base/mapped_file.h"

#include <limits>

#include "base/file_reader.h"

namespace puna::core {

Result<MappedFile> MappedFile::open(const std::string& path) {
    PUNA_TRY_ASSIGN(const FileReader file, FileReader::open(path));
    return map(file, 0, file.size());
}

Result<MappedFile> MappedFile::open(const std::string& path, uint64_t offset, uint64_t length) {
    PUNA_TRY_ASSIGN(const FileReader file, FileReader::open(path));
    return map(file, offset, length);
}

Result<MappedFile> MappedFile::map(const FileReader& file, uint64_t offset, uint64_t length) {
    if (offset > file.size() || length > file.size() - offset) {
        return make_status(PUNA_ERROR_TRUNCATED,
                           "%s: the range of %llu bytes at offset %llu reaches past the end of the "
                           "file (%llu bytes)",
                           file.path().c_str(), static_cast<unsigned long long>(length),
                           static_cast<unsigned long long>(offset),
                           static_cast<unsigned long long>(file.size()));
    }
    MappedFile mapped;
    if (length == 0) return mapped;
    const uint64_t lead = offset % mapping_granularity();
    if (length > std::numeric_limits<size_t>::max() / 2 - lead) {
        return make_status(PUNA_ERROR_IO, "%s: %llu bytes do not fit the address space",
                           file.path().c_str(), static_cast<unsigned long long>(length));
    }
    const size_t mapped_size = static_cast<size_t>(lead + length);
    PUNA_TRY_ASSIGN(mapped.base_, map_pages(file, offset - lead, mapped_size));
    mapped.mapped_size_ = mapped_size;
    mapped.data_ = static_cast<const std::byte*>(mapped.base_) + lead;
    mapped.size_ = static_cast<size_t>(length);
    return mapped;
}

}  // namespace puna::core
