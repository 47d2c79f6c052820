# The version numbers live in puna.h; everything else reads them from there.

set(header "${CMAKE_CURRENT_LIST_DIR}/../include/puna/puna.h")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
file(STRINGS "${header}" lines REGEX "^#define PUNA_(VERSION_(MAJOR|MINOR|PATCH)|ABI_VERSION) ")

function(puna_header_number name out)
    if(NOT ";${lines}" MATCHES ";#define ${name} +([0-9]+)")
        message(FATAL_ERROR "${header} has no line '#define ${name} <number>'")
    endif()
    set(${out} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

puna_header_number(PUNA_VERSION_MAJOR major)
puna_header_number(PUNA_VERSION_MINOR minor)
puna_header_number(PUNA_VERSION_PATCH patch)
puna_header_number(PUNA_ABI_VERSION PUNA_ABI_VERSION)
set(PUNA_VERSION ${major}.${minor}.${patch})
