// What does not fit between a file and what it is loaded into, as lines for one message.
#pragma once

#include <string>
#include <vector>

#include "framework/checkpoint_document.hpp"
#include "framework/description.hpp"
#include "framework/state.hpp"

namespace vg::checkpoint {

using Problems = std::vector<std::string>;

/// Missing and unexpected states and leaves; other kinds, dtypes and shapes.
void match_states(const SavedModel& saved, const States& states, Problems& problems);
/// Other kinds, options and children, whatever their order.
void match_description(const Description& saved, const Description& now, Problems& problems);
/// What `part` says of `saved`; an exception of its check is a problem like another.
void match_part(const std::string& name, const Bundle& saved, const Saveable& part, Problems& problems);

}  // namespace vg::checkpoint
