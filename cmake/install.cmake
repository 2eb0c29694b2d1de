# make install (DESTDIR, PREFIX). What depends on the prefix is made when installing, since
# `cmake --install --prefix` may say another one than the build knew.
include(GNUInstallDirs)

if(TARGET portcullis)
  install(TARGETS portcullis RUNTIME DESTINATION bin)

  install(CODE "
    set(source \"${CMAKE_SOURCE_DIR}\")
    set(binary \"${CMAKE_BINARY_DIR}/portcullis\")
    set(made \"${CMAKE_BINARY_DIR}/install\")
  ")
  install(CODE [[
    set(root "$ENV{DESTDIR}")
    set(prefix "${CMAKE_INSTALL_PREFIX}")

    function(docs file)
      execute_process(COMMAND "${binary}" docs ${ARGN} OUTPUT_FILE "${made}/${file}"
                      RESULT_VARIABLE failed)
      if(failed)
        message(FATAL_ERROR "portcullis docs ${ARGN} failed")
      endif()
    endfunction()

    file(REMOVE_RECURSE "${made}")
    file(MAKE_DIRECTORY "${made}")

    # Manual pages: the program's own, and one for each command that `help` lists.
    docs(portcullis.1 man)
    execute_process(COMMAND "${binary}" help OUTPUT_VARIABLE overview)
    string(REGEX MATCHALL "\n  [a-z]+" commands "${overview}")
    foreach(command ${commands})
      string(STRIP "${command}" command)
      docs(portcullis-${command}.1 man ${command})
    endforeach()
    file(GLOB pages "${made}/*.1")
    file(INSTALL ${pages} DESTINATION "${prefix}/share/man/man1")

    docs(portcullis.bash completion)
    file(INSTALL "${made}/portcullis.bash"
         DESTINATION "${prefix}/share/bash-completion/completions" RENAME portcullis)
    docs(portcullis.vim vim)
    file(INSTALL "${made}/portcullis.vim" DESTINATION "${prefix}/share/vim/vimfiles/syntax")
    file(INSTALL "${source}/packaging/portcullis.ftdetect.vim"
         DESTINATION "${prefix}/share/vim/vimfiles/ftdetect" RENAME portcullis.vim)
    docs(portcullis.schema.json schema)
    file(INSTALL "${made}/portcullis.schema.json" DESTINATION "${prefix}/share/portcullis")

    set(BINARY "${prefix}/bin/portcullis")
    configure_file("${source}/packaging/portcullis.service" "${made}/portcullis.service" @ONLY)
    file(INSTALL "${made}/portcullis.service" DESTINATION "${prefix}/lib/systemd/system")
    file(INSTALL "${source}/packaging/portcullis.sysusers"
         DESTINATION "${prefix}/lib/sysusers.d" RENAME portcullis.conf)

    # The operator's file is never touched again.
    if(EXISTS "${root}/etc/portcullis/portcullis.conf")
      message(STATUS "Kept: ${root}/etc/portcullis/portcullis.conf")
    else()
      file(INSTALL "${source}/packaging/portcullis.conf" DESTINATION "/etc/portcullis")
    endif()
  ]])
endif()
