#include "base/file_writer.h"

namespace puna::core {

Status FileWriter::append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        PUNA_TRY_ASSIGN(const size_t n, write_some(bytes));
        bytes = bytes.subspan(n);
    }
    return {};
}

}  // namespace puna::core
