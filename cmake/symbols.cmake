# The exported names come from one list, tests/abi/symbols.txt: lines "<version node> <name>".
# From it follow the version script of ELF, the .def file of Windows and the list of macOS.
# tests/abi/update.sh writes the list from puna.h; a test compares it with the built library.

set(symbols_txt "${PROJECT_SOURCE_DIR}/tests/abi/symbols.txt")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${symbols_txt}")
file(STRINGS "${symbols_txt}" lines REGEX "^PUNA_[0-9.]+ puna_")

set(nodes "")
set(def "EXPORTS\n")
set(macho "")
foreach(line IN LISTS lines)
    string(REPLACE " " ";" line "${line}")
    list(GET line 0 node)
    list(GET line 1 name)
    list(APPEND nodes ${node})
    string(APPEND names_${node} "        ${name};\n")
    string(APPEND def "    ${name}\n")
    string(APPEND macho "_${name}\n")
endforeach()
list(REMOVE_DUPLICATES nodes)
list(SORT nodes COMPARE NATURAL)

set(map "")
set(previous "")
foreach(node IN LISTS nodes)
    string(APPEND map "${node} {\n    global:\n${names_${node}}")
    if(NOT previous)
        string(APPEND map "    local:\n        *;\n")
    endif()
    string(APPEND map "}${previous};\n")
    set(previous " ${node}")
endforeach()

file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/puna.map" CONTENT "${map}" @ONLY)
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/puna.def" CONTENT "${def}" @ONLY)
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/puna.exports" CONTENT "${macho}" @ONLY)

function(puna_limit_exports target)
    if(APPLE)
        target_link_options(${target} PRIVATE
            "LINKER:-exported_symbols_list,${PROJECT_BINARY_DIR}/puna.exports")
        set(list "${PROJECT_BINARY_DIR}/puna.exports")
    elseif(WIN32)
        target_sources(${target} PRIVATE "${PROJECT_BINARY_DIR}/puna.def")
        set(list "${PROJECT_BINARY_DIR}/puna.def")
    else()
        target_link_options(${target} PRIVATE
            "LINKER:--version-script=${PROJECT_BINARY_DIR}/puna.map"
            LINKER:--exclude-libs,ALL LINKER:-Bsymbolic-functions
            LINKER:-z,now LINKER:-z,relro LINKER:-z,noexecstack)
        if(NOT PUNA_SANITIZE) # clang leaves the sanitizers' own symbols for the program to bring
            target_link_options(${target} PRIVATE LINKER:-z,defs)
        endif()
        set(list "${PROJECT_BINARY_DIR}/puna.map")
    endif()
    set_target_properties(${target} PROPERTIES LINK_DEPENDS "${list}")
endfunction()
