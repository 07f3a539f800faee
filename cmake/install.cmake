# `cmake --install` and find_package(voxgrad) for users' projects.
include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/voxgrad)
set(header_dir ${CMAKE_INSTALL_INCLUDEDIR}/voxgrad-0)
foreach(folder IN ITEMS voxgrad framework layers zoo optim data io evaluation)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${header_dir} FILES_MATCHING PATTERN "*.hpp")
endforeach()
install(TARGETS voxgrad voxgrad_dependencies EXPORT voxgrad ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT voxgrad NAMESPACE voxgrad:: DESTINATION ${config_dir} FILE voxgrad-targets.cmake)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/voxgrad-config.cmake.in ${PROJECT_BINARY_DIR}/voxgrad-config.cmake
                              INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/voxgrad-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/voxgrad-config.cmake ${PROJECT_BINARY_DIR}/voxgrad-config-version.cmake DESTINATION ${config_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/voxgrad)
