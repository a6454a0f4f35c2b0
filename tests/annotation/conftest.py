import pytest

from annotation.images import Decoder


@pytest.fixture(scope="module")
def one_child():
    with Decoder() as decoder:
        yield decoder


@pytest.fixture
def decoder(one_child):
    one_child.taken_notes()
    return one_child
