#include "runtime/sequence_state.h"

namespace puna::core {

Result<uint64_t> saved_size(const Sequence&) {
    return make_status(PUNA_ERROR_UNSUPPORTED, "saving is being written");
}
Status save_sequence(Sequence&, std::span<std::byte>) {
    return make_status(PUNA_ERROR_UNSUPPORTED, "saving is being written");
}
Status restore_sequence(Sequence&, std::span<const std::byte>) {
    return make_status(PUNA_ERROR_UNSUPPORTED, "saving is being written");
}

}  // namespace puna::core
