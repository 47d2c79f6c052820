# puna_find_header_only(<package> <target> <folder>): find_package for a library of headers alone.
#
# Where the target system has no such package, the headers of the machine that compiles serve as
# well. The rest of /usr/include must stay out of sight: a link in the build folder shows their
# <folder> only.

macro(puna_find_header_only package target folder)
    find_package(${package} QUIET)
    if(NOT TARGET ${target} AND CMAKE_CROSSCOMPILING)
        find_path(PUNA_${package}_DIR ${folder} NO_CMAKE_FIND_ROOT_PATH)
        if(PUNA_${package}_DIR)
            set(header_links "${PROJECT_BINARY_DIR}/headers/${package}")
            file(MAKE_DIRECTORY "${header_links}")
            file(CREATE_LINK "${PUNA_${package}_DIR}/${folder}" "${header_links}/${folder}" SYMBOLIC)
            add_library(${target} INTERFACE IMPORTED)
            target_include_directories(${target} INTERFACE "${header_links}")
        endif()
    endif()
endmacro()
