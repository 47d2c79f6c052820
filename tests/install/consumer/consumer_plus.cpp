// The same through the C++ header.
#include <cstring>
#include <puna/puna.hpp>

int main(int argc, char** argv) {
    if (argc != 2 || std::strcmp(puna_version(), argv[1]) != 0) return 1;
    if (puna_abi_version() != PUNA_ABI_VERSION) return 2;
    const puna::Runtime runtime;  // throws when it fails
    return 0;
}
