// The JSON of a checkpoint in memory, in which a tensor's values are a reference to a Tensor. read.cpp makes it from
// the events of nlohmann's parser, and json.cpp makes a Document of it; write.cpp makes it from a Document and prints
// it. It is no document of nlohmann's, because that one allocates memory when it is destroyed, and copies its values
// when an object grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "voxgrad/framework/checkpoint/document.hpp"

namespace vg::checkpoint {

/// Tensor `index`, in place of an object's "values".
struct Reference {
  std::size_t index;
};
struct Json;
using Object = Named<Json>;  ///< in the order of the file
using Array = std::vector<Json>;

/// An array whose entries have one type is a vector of it, unless it is empty. A std::uint64_t is an integer above 2^63
/// - 1.
struct Json
    : std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, std::vector<std::int64_t>,
                   std::vector<double>, std::vector<std::string>, Array, Object, Reference> {
  using variant::variant;
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(*this);
  }
  template <class T>
  const T* as() const {
    return std::get_if<T>(this);
  }
  template <class T>
  T* as() {
    return std::get_if<T>(this);
  }
};

/// The value of a key, or nullptr.
const Json* find(const Object& object, std::string_view key);
/// Appends a value to an array of any kind.
Json& append(Json& array, Json value);

/// A fault of the file. `path` is the JSON path of the value at fault; empty: the value that is being read.
struct ParseError : std::runtime_error {
  explicit ParseError(const std::string& what, std::string at = {}) : std::runtime_error(what), path(std::move(at)) {}
  std::string path;
};

/// `path` followed by a key: $.model.states["conv.weight"]
std::string path_of(const std::string& path, std::string_view key);
/// `path` followed by the number of an entry: $.model.shape[2]
std::string path_of(const std::string& path, std::size_t entry);

/// What must be read before a tensor's values.
struct TensorHeader {
  DType dtype;
  Shape shape;
  Encoding encoding;
};
/// Throws ParseError if `tensor`, which is at `path`, has no valid "dtype", "shape" and, optionally, "encoding".
TensorHeader header_of(const Object& tensor, const std::string& path);

/// These throw ParseError, without a path, for a value that "format", "version" or an integer cannot have.
void check_format(const Json& value);
void check_version(const Json& value);
std::int64_t as_integer(const Json& value);

/// Throws ParseError, with the path, if the JSON is no Document. Moves the tensors out of `tensors`.
Document from_json(const Json& json, std::vector<Tensor>& tensors);

}  // namespace vg::checkpoint
