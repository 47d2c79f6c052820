#include "support/shared_files.h"

#include <cstdlib>
#include <fstream>

namespace puna::test {

std::string shared_file(std::string_view name) {
    const char* directory = std::getenv("PUNA_SHARED_DIR");
    std::string path = directory != nullptr ? directory : PUNA_SOURCE_DIR "/../shared";
    path.append("/").append(name);
    return std::ifstream(path).good() ? path : std::string();
}

std::string project_file(std::string_view name) {
    const char* directory = std::getenv("PUNA_PROJECT_DIR");
    return std::string(directory != nullptr ? directory : PUNA_SOURCE_DIR).append("/").append(name);
}

}  // namespace puna::test
