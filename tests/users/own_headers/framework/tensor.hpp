// A user's own header, first on the include path: voxgrad's headers must not take it for theirs.
#pragma once
#define OWN_FRAMEWORK_TENSOR_HPP 1
