# What a package of puna contains: libraries, headers, the program, and how others find them.

include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/puna")

# puna_cdef.h: the declarations of puna.h after the preprocessor, for FFIs without one (LuaJIT,
# cffi). Empty stand-ins for the two standard headers leave nothing else in it.
set(cdef "${PROJECT_BINARY_DIR}/puna_cdef.h")
set(stubs "${PROJECT_SOURCE_DIR}/tests/abi/stubs")
set(header "${PROJECT_SOURCE_DIR}/include/puna/puna.h")
add_custom_command(OUTPUT "${cdef}"
    COMMAND "${CMAKE_C_COMPILER}" -E -P -w -nostdinc -I "${stubs}" "-D__attribute__(x)="
        "-D__declspec(x)=" -D__cdecl= -o "${cdef}" "${header}"
    DEPENDS "${header}"
    VERBATIM)
add_custom_target(puna_cdef ALL DEPENDS "${cdef}")

# The prefix is looked up from where the file lies, so an installed tree may be moved.
cmake_path(SET pc_dir NORMALIZE "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig")
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY "${pc_dir}" OUTPUT_VARIABLE pc_prefix)
configure_file(cmake/puna.pc.in "${PROJECT_BINARY_DIR}/puna.pc" @ONLY)
configure_package_config_file(cmake/puna-config.cmake.in "${PROJECT_BINARY_DIR}/puna-config.cmake"
    INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/puna-config-version.cmake"
    COMPATIBILITY SameMinorVersion)

install(TARGETS puna puna_static EXPORT puna-targets)
install(EXPORT puna-targets NAMESPACE puna:: DESTINATION "${package_dir}")
install(DIRECTORY include/puna DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES "${cdef}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/puna")
install(FILES "${PROJECT_BINARY_DIR}/puna-config.cmake"
    "${PROJECT_BINARY_DIR}/puna-config-version.cmake" DESTINATION "${package_dir}")
install(FILES "${PROJECT_BINARY_DIR}/puna.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
if(TARGET puna_cli)
    install(TARGETS puna_cli)
    install(FILES examples/demo_model/demo.gguf DESTINATION "${CMAKE_INSTALL_DATADIR}/puna")
endif()
