function(run)
    execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE "${WORK_DIR}/first" "${WORK_DIR}/prefix" "${WORK_DIR}/build")
run("${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${WORK_DIR}/first" --config "${CONFIG}")
file(RENAME "${WORK_DIR}/first" "${WORK_DIR}/prefix") # nothing may remember where it was put
set(prefix "${WORK_DIR}/prefix")

# The program finds the model that is installed with it.
run("${prefix}/bin/puna" run demo -p "Once upon a time" -n 8)

# find_package: C and C++, shared and static.
run("${CMAKE_COMMAND}" -S "${CONSUMER}" -B "${WORK_DIR}/build" -G "${GENERATOR}"
    "-DCMAKE_PREFIX_PATH=${prefix}" "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_CXX_COMPILER=${CXX}"
    "-DPUNA_WANTED=${VERSION}")
run("${CMAKE_COMMAND}" --build "${WORK_DIR}/build")
foreach(program IN ITEMS c_shared c_static cpp_shared cpp_static)
    run("${WORK_DIR}/build/${program}" "${VERSION}")
endforeach()

# puna_cdef.h holds declarations alone, and a C compiler reads it.
set(cdef "${prefix}/include/puna/puna_cdef.h")
file(STRINGS "${cdef}" directives REGEX "^ *#")
if(directives)
    message(FATAL_ERROR "${cdef} has preprocessor lines: ${directives}")
endif()
run("${CC}" -fsyntax-only -include stddef.h -include stdint.h -x c "${cdef}")

# pkg-config: shared, by its own flags alone.
if(NOT PKG_CONFIG)
    message("pkg-config is not installed: left out")
    return()
endif()
set(ENV{PKG_CONFIG_PATH} "${prefix}/${LIBDIR}/pkgconfig")
execute_process(COMMAND "${PKG_CONFIG}" --cflags --libs "puna = ${VERSION}"
    OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
run("${CC}" "${CONSUMER}/consumer.c" ${flags} "-Wl,-rpath,${prefix}/${LIBDIR}"
    -o "${WORK_DIR}/build/c_pkg_config")
run("${WORK_DIR}/build/c_pkg_config" "${VERSION}")
