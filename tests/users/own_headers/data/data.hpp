// A user's own header, first on the include path: voxgrad's headers must not take it for theirs.
#pragma once
#define OWN_DATA_DATA_HPP 1
