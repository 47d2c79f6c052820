#include "base/large_pages.h"

namespace puna::core {

// Windows has them only for those with a privilege.
void advise_large_pages(void*, size_t) {}

}  // namespace puna::core
