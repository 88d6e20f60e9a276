// mien._dlpack: memory that mien knows by its address, as a DLPack producer, and what DLPack tells of another's.
// nanobind does the protocol: capsules of both versions, deleters that any thread may call, also while Python ends.
#include <cstdint>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Place = std::pair<int, int>;  // the device's type and number, as __dlpack_device__ gives them
using Kind = std::pair<int, int>;   // the element's type code and bits

nb::object produce(std::uintptr_t address, const std::vector<std::size_t>& shape, Kind kind, Place place,
                   nb::handle owner) {
    const nb::dlpack::dtype type{std::uint8_t(kind.first), std::uint8_t(kind.second), 1};
    return nb::cast(nb::ndarray<nb::array_api>(reinterpret_cast<void*>(address), shape.size(), shape.data(), owner,
                                               nullptr, type, place.first, place.second));
}

// Address, shape, strides in elements, type, device, and what keeps the memory alive.
nb::tuple consume(const nb::ndarray<nb::ro>& array) {
    const auto type = array.dtype();
    if (type.lanes != 1) throw nb::type_error("elements of more than one value");
    nb::list shape, strides;
    for (std::size_t axis = 0; axis < array.ndim(); ++axis) {
        shape.append(array.shape(axis));
        strides.append(array.stride(axis));
    }
    using Held = nb::ndarray<nb::ro>;
    nb::capsule keeper(new Held(array), [](void* held) noexcept { delete static_cast<Held*>(held); });
    return nb::make_tuple(reinterpret_cast<std::uintptr_t>(array.data()), nb::tuple(shape), nb::tuple(strides),
                          Kind(type.code, type.bits), Place(array.device_type(), array.device_id()), keeper);
}

}  // namespace

NB_MODULE(_dlpack, m) {
    m.def("produce", &produce, "address"_a, "shape"_a, "kind"_a, "place"_a, "owner"_a);
    m.def("consume", &consume, "capsule"_a.noconvert());
}
