// Lists the names in a folder. std::filesystem's iterator is not used: it ends the program without memory (libstdc++
// 12).
#pragma once

#include <dirent.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace vg::detail {

/// The names in any order, without "." and "..". Sets `error` to errno if the folder could not be read, else to 0.
inline std::vector<std::string> list_directory(const std::filesystem::path& folder, int& error) {
  struct Close {
    void operator()(DIR* d) const { ::closedir(d); }
  };
  std::vector<std::string> names;
  const std::unique_ptr<DIR, Close> open(::opendir(folder.empty() ? "." : folder.c_str()));
  error = open ? 0 : errno;
  while (open) {
    errno = 0;
    const dirent* const entry = ::readdir(open.get());
    if (entry == nullptr) {
      error = errno;
      break;
    }
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

}  // namespace vg::detail
