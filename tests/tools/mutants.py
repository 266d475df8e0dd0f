"""`make test-mutants`: takes each mechanism out, one at a time, and sees the test fail that is named for it.

Prints a Markdown table. Exits with 1 if a test passes without its mechanism, or if a mechanism is no longer where this
table says.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """One mechanism taken out.

    Args:
        mechanism: what it is.
        file: of the package.
        old: the text that is it, which stands there once.
        new: what stands there instead.
        test: that must fail then; without the mutant it must pass.
        hangs: whether the test may also wait for ever, which is what the mechanism is against.
    """

    mechanism: str
    file: str
    old: str
    new: str
    test: str
    hangs: bool = False


MUTANTS = (
    Mutant(
        "axes of length 1 beside a mel are removed",
        "stores/mel_axis.py",
        "        if len(kept) > 2 and size == 1:\n",
        "        if len(kept) > 2 and size == 1 and axis == 0:\n",
        "tests/pack/test_matrices.py -k every_format",
    ),
    Mutant(
        "a damaged member of a zip is a damaged chunk",
        "stores/zarr_arrays/array_values.py",
        "BadGzipFile, BadZipFile, zlib",
        "BadGzipFile, zlib",
        "tests/stores/test_zipped_stores.py -k damaged_member",
    ),
    Mutant(
        "keys that differ only in normalization or extension are matched",
        "stores/list_keys.py",
        "if len(mine) == 1 and len(",
        "if False and len(",
        "tests/stores/test_list_keys.py -k alike",
    ),
    Mutant(
        "keys that fit several are not matched",
        "stores/list_keys.py",
        "len({metadata.rows[key] for key in theirs}) == 1:",
        "True:",
        "tests/stores/test_list_keys.py -k several",
    ),
    Mutant(
        "a list that fits no utterance is refused",
        "stores/list_keys.py",
        "    if not rows:\n",
        "    if False:\n",
        "tests/stores/test_list_keys.py -k fits_nothing",
    ),
    Mutant(
        "UTF-16 is read as text",
        "stores/text_lists.py",
        "if mark.startswith(begin)",
        "if False",
        "tests/stores/test_tables.py -k utf",
    ),
    Mutant(
        "the items of a padded store are on its first long axis",
        "stores/mel_axis.py",
        "longer[0] if len(longer) == 3 else 0",
        "0",
        "tests/stores/test_batch_axis.py -k in_a_padded_store",
    ),
    Mutant(
        "an MP3 that does not state its length is read to its end",
        "pack/audio_files.py",
        "        completed, cut = completed_mp3(file)\n",
        "        completed, cut = None, None\n",
        "tests/pack/test_mp3_length.py -k to_its_end",
    ),
    Mutant(
        "what machines leave lying about is no source",
        "pack/folders.py",
        "if is_clutter_file(name):",
        "if False:",
        "tests/pack/test_folders.py -k clutter",
    ),
    Mutant(
        "a quotation mark in a .tsv is a character",
        "stores/tables.py",
        'separator in _QUOTED or (separator == "\\t" and extension == ".csv")',
        "True",
        "tests/pack/test_pack_meta.py -k is_a_character",
    ),
    Mutant(
        "numbers of the items of a padded store are metadata",
        "stores/padded.py",
        "        return texts | self._numbers.at(item)\n",
        "        return texts\n",
        "tests/stores/test_open_store.py -k numbers_of_the_items",
    ),
    Mutant(
        "all failures of a packing are listed beside the store",
        "pack/run.py",
        "        for failure in failures:\n            row",
        "        for failure in failures[:5]:\n            row",
        "tests/pack/test_pack_audio.py -k beside_the_store",
    ),
    Mutant(
        "training reads the stretches of a list",
        "workshop/training/speech.py",
        'f"{source}, {item.path}", item.place)',
        'f"{source}, {item.path}", Clip(item.place.path))',
        "tests/workshop/training/test_speech.py -k as_pack_reads_it",
    ),
    Mutant(
        "the key of an absolute path is seen from the list's folder",
        "pack/manifests.py",
        "os.path.relpath(named, folder) if os.path.isabs(named) else ",
        "",
        "tests/pack/test_pack_manifests.py -k absolute_path",
    ),
    Mutant(
        "the end of a stretch in a NeMo key",
        "pack/manifests.py",
        "or len(ends[item.key, clip.path]) == 1:",
        "or True:",
        "tests/pack/test_pack_manifests.py -k told_apart",
    ),
    Mutant(
        "audio that is shorter than its header says is refused",
        "pack/audio_lengths.py",
        "stated.size is None or stated.size <= there:",
        "True:",
        "tests/pack/test_audio_lengths.py -k named_by_pack",
    ),
    Mutant(
        "a size that the header leaves open is taken from the file",
        "pack/audio_files.py",
        "stated.size is None and stated.field",
        "False and stated.field",
        "tests/pack/test_audio_lengths.py -k left_open",
    ),
    Mutant(
        "more audio than the header states is refused",
        "pack/audio_tails.py",
        "    if any(_is_leftover(file, after, size, stated.size) for after in afters):\n",
        "    if True:\n",
        "tests/pack/test_audio_tails.py -k than_the_header_states",
    ),
    Mutant(
        "tags and padding after the audio are not read as audio",
        "pack/audio_files.py",
        "_Completed(file, header, end) if header or end < size",
        "_Completed(file, header, size) if header",
        "tests/pack/test_audio_tails.py -k tags_and_padding",
    ),
    Mutant(
        "chunks after audio of an open size are no audio",
        "pack/audio_tails.py",
        "    if stated.chunk_at is None:\n        return size\n",
        "    return size\n",
        "tests/pack/test_audio_tails.py -k of_an_open_size",
    ),
    Mutant(
        "FLAC that states another number of samples than it has is refused",
        "pack/flac_length.py",
        "if there in (0, stated):",
        "if True:",
        "tests/pack/test_audio_tails.py -k flac_that_states",
    ),
    Mutant(
        "Ogg that is cut off between two pages is refused",
        "pack/ogg_length.py",
        "if flags & _ENDS:",
        "if True:",
        "tests/pack/test_audio_tails.py -k ogg_is_refused",
    ),
    Mutant(
        "Ogg streams one after another are refused",
        "pack/ogg_length.py",
        "if flags & _BEGINS and under_way:",
        "if False:",
        "tests/pack/test_audio_tails.py -k ogg_is_refused",
    ),
    Mutant(
        "MP3 files that were joined are refused",
        "pack/mp3_length.py",
        "if not stated or frames - 1 - stated <= _MISCOUNTED:",
        "if True:",
        "tests/pack/test_audio_tails.py -k mp3_files",
    ),
    Mutant(
        "the checksum of the last frame of FLAC without a length",
        "pack/flac_length.py",
        "== int.from_bytes(tail[-2:])",
        "!= -1",
        "tests/pack/test_audio_lengths.py -k flac_without",
    ),
    Mutant(
        "fsync of an object's content",
        "storage/atomic.py",
        "    sync(file)\n",
        "",
        "tests/faults/test_power_loss.py -k first_run",
    ),
    Mutant(
        "fsync of the folder of a new name",
        "storage/atomic.py",
        "    sync(target.parent)\n    return True\n",
        "    return True\n",
        "tests/faults/test_power_loss.py -k first_run",
    ),
    Mutant(
        "put if absent",
        "storage/atomic.py",
        "            os.link(file, target)\n",
        "            os.replace(file, target)\n",
        "tests/storage/test_storage.py::TestLocal -k first_put_wins",
    ),
    Mutant(
        "the commit record comes after its objects",
        "worker/attempt.py",
        "        objects = []\n",
        "        objects = []\n        late, put, commit = [], self._storage.put_if_absent, self._ledger.put_commit\n"
        "        self._storage.put_if_absent = lambda *each: late.append(each) or True\n"
        "        self._ledger.put_commit = lambda *given: (\n"
        "            setattr(self._storage, 'put_if_absent', put), commit(*given), [put(*each) for each in late]\n"
        "        )[1]\n",
        "tests/worker/test_attempt.py -k before_the_commit",
    ),
    Mutant(
        "the digest check of what is read",
        "worker/utterance.py",
        "if self._digest is not None and self._digest.finish().hex() != utterance.digest:",
        "if False:",
        "tests/jobs/test_jobs.py -k not_the_one_packed",
    ),
    Mutant(
        "misfits are left out before a contract is judged",
        "evidence/judgement.py",
        "        if (why := _misfit(each, spec, of_it)) is not None:\n",
        "        if False:\n",
        "tests/evidence/test_judgement.py -k few_bad",
    ),
    Mutant(
        "each utterance is judged by the contract when it is made",
        "worker/utterance.py",
        "        if (why := misfit(stretch, shard.job.mel)) is not None:\n",
        "        if False:\n",
        "tests/jobs/test_misfits.py -k names_the_bad",
    ),
    Mutant(
        "a mel that is bad spoils none that is read with it",
        "stores/mel_array.py",
        "            except UtteranceError:\n                self._wrong",
        "            except MissingChunkError:\n                self._wrong",
        "tests/stores/test_read_ahead.py -k spoils",
    ),
    Mutant(
        "decoded pieces that wait are bounded",
        "vocoders/ahead.py",
        "= queue.Queue(room)",
        "= queue.Queue()",
        "tests/vocoders/test_ahead.py -k room",
    ),
    Mutant(
        "whatever fails while some utterances are read is the fault of one",
        "worker/utterance.py",
        "        except Exception as error:  # of this utterance; the others are read\n",
        "        except UtteranceError as error:\n",
        "tests/worker/test_convert.py -k while_some",
    ),
    Mutant(
        "short waveforms that wait are bounded",
        "vocoders/ahead.py",
        "        if samples > _TOGETHER_SAMPLES:\n",
        "        if count > _TOGETHER_SAMPLES:\n",
        "tests/vocoders/test_ahead.py -k together_and_no_more",
    ),
    Mutant(
        "the compiled log-mel reads nothing beyond a signal",
        "dsp/mel_analysis.py",
        "- hops) // lanes + 1))",
        "- hops) // lanes + 2))",
        "tests/dsp/test_mel_analysis.py -k beyond",
    ),
    Mutant(
        "what passes by bounds is as loud at most as the contract allows",
        "evidence/fitting.py",
        "        return bool(squares < self._most_level)\n",
        "        return True\n",
        "tests/evidence/test_fitting.py -k no_contradiction",
    ),
    Mutant(
        "audio far over full scale is not packed",
        "pack/audio.py",
        " > _LOUDEST:",
        " > 1e30:",
        "tests/pack/test_pack_audio.py -k range_of_integers",
    ),
    Mutant(
        "prefixes of wrappers are taken off",
        "checkpoints/key_prefixes.py",
        "if fits(_below(state, prefix, where))]",
        "if not prefix]",
        "tests/checkpoints/test_key_prefixes.py -k every_family",
    ),
    Mutant(
        "nodes of an ONNX model are sorted",
        "workshop/import_onnx/reading.py",
        "        sort_nodes(model)\n",
        "",
        "tests/workshop/test_import_onnx.py -k any_order",
    ),
    Mutant(
        "a model far beyond full scale is refused",
        "workshop/import_onnx/run.py",
        "    if not math.isfinite(level) or level <= 1:",
        "    if level:",
        "tests/workshop/test_import_onnx.py -k far_beyond",
    ),
    Mutant(
        "a run that clips is not done well",
        "jobs/report.py",
        "    if clipped > (most := config.quality.max_clipped_rate) * samples:",
        "    if clipped > (most := 1) * samples:",
        "tests/jobs/test_clipped.py -k most_of_whose",
    ),
    Mutant(
        "the windows of a batch that failed are decoded alone",
        "vocoders/windows.py",
        "            for pending, part, mel in chosen:\n",
        "            for pending, part, mel in chosen[:0]:\n",
        "tests/vocoders/test_windows.py -k goes_wrong",
    ),
    Mutant(
        "a session that did not come out on the card is refused",
        "vocoders/sessions.py",
        "    if _CUDA not in used:\n",
        "    if False:\n",
        "tests/vocoders/test_sessions.py -k did_not_come_out",
    ),
    Mutant(
        "a GPU that fails quarantines no utterance",
        "vocoders/onnx_model.py",
        'if session.device == "cuda" and _CARD_AT_FAULT',
        'if session.device == "none" and _CARD_AT_FAULT',
        "tests/vocoders/test_sessions.py -k quarantines_nobody",
    ),
    Mutant(
        "batches that a card cannot hold get smaller",
        "vocoders/onnx_model.py",
        "                    self._card_bytes = len(mel) * ",
        "                    _ = len(mel) * ",
        "tests/vocoders/test_sessions.py -k quarantines_nobody",
    ),
    Mutant(
        "threads decode windows at once",
        "vocoders/windows.py",
        "        for pending in self._onwards(first, self._most):\n",
        "        for pending in self._onwards(first, 0):\n",
        "tests/vocoders/test_windows.py -k threads_decode_at_once",
    ),
    Mutant(
        "processes that share a card take their part of it",
        "vocoders/onnx_model.py",
        "total / on_one",
        "total",
        "tests/vocoders/test_sessions.py -k share_a_card",
    ),
    Mutant(
        "the processes of a machine spread over its cards",
        "vocoders/cards.py",
        "            if held is not None:\n",
        "            if True:\n",
        "tests/vocoders/test_cards.py -k spread_over",
    ),
    Mutant(
        "mixed precision on a card keeps some convolutions in float32, as on the CPU",
        "checkpoints/half_products.py",
        " and in_pairs(mixed, stages[outputs], taps)",
        "",
        "tests/vocoders/test_sessions.py -k too_noisy",
    ),
    Mutant(
        "the sample that soxr may leave out",
        "audio/resample.py",
        "np.zeros(2 + source // target, np.float32)",
        "np.zeros(0, np.float32)",
        "tests/audio/test_resample.py -k half_a_sample",
    ),
    Mutant(
        "the true peak holds the gain back",
        "audio/loudness.py",
        "min(self._target - loudness, allowed)",
        "self._target - loudness",
        "tests/audio/test_loudness.py -k holds_the_gain_back",
    ),
    Mutant(
        "the digest check before an object is adopted",
        "worker/attempt.py",
        "            return there if self._holds_the_same(file, made.name, path, rows) else None\n",
        "            return there\n",
        "tests/worker/test_attempt.py -k damaged_object",
    ),
    Mutant(
        "the missing-chunk check",
        "stores/zarr_arrays/array_values.py",
        'self._array = open_filled(tree, metadata, "NaN" if metadata.kind == "float" else "")',
        'self._array = open_filled(tree, metadata, 0.0 if metadata.kind == "float" else "")',
        "tests/stores/test_store_faults.py -k missing",
    ),
    Mutant(
        "the proof that consolidated metadata has an array's own document",
        "stores/zarr_arrays/consolidated_list.py",
        '        return same and _is(document, md5.get(f"{path}/.zarray"))\n',
        "        return True\n",
        "tests/stores/test_consolidated_lists.py -k what_is_there",
    ),
    Mutant(
        "the lock of the output",
        "storage/filelock.py",
        "        fcntl.flock(descriptor, ",
        "        print(descriptor, ",
        "tests/storage/test_storage.py::TestLocal -k told_who_holds",
    ),
    Mutant(
        "the balance check",
        "jobs/publish.py",
        "if not totals.utterances + totals.failed == planned + len(plan.refused) == plan.utterances:",
        "if False:",
        "tests/output/test_ledger.py -k balance",
    ),
    Mutant(
        "a head is believed only beside the stamp of its record",
        "output/commit_heads.py",
        "self._next[:2] != (name, stamp)",
        "self._next[0] != name",
        "tests/output/test_commit_heads.py -k replaced_is_read",
    ),
    Mutant(
        "lines are copied only where they have the metadata of now",
        "jobs/publish.py",
        "None if current else",
        "None if True else",
        "tests/worker/test_sidecar.py -k manifest_alone",
    ),
    Mutant(
        "a damaged head is not believed",
        "output/commit_heads.py",
        "if digest == _digest(text):",
        "if text:",
        "tests/output/test_commit_heads.py -k flipped",
    ),
    Mutant(
        "records are listed before they are read for the file of heads",
        "jobs/publish.py",
        '        heads.add(commit.head, stamps.get(name, ""))\n',
        "        heads.add(commit.head, ledger.commit_stamps()[name])\n",
        "tests/output/test_commit_heads.py -k while_the_heads",
    ),
    Mutant(
        "what is about to be published is announced first",
        "output/ledger.py",
        "        self._announce(publication)\n",
        "",
        "tests/output/test_audit.py::test_an_output_is_whole_wherever_its_publication_stops[3]",
    ),
    Mutant(
        "what stopped publications announced stays known",
        "output/ledger.py",
        "            files += before.files",
        "            files += ()",
        "tests/output/test_audit.py::test_an_output_is_whole_wherever_its_publication_stops[4]",
    ),
    Mutant(
        "the index is published with the manifest",
        "output/ledger.py",
        "        self.storage.replace(INDEX, folder / INDEX)\n",
        "",
        "tests/output/test_shard_index.py -k regeneration",
    ),
    Mutant(
        "gc keeps what the index names",
        "output/census.py",
        "(listed or set()) | _indexed(ledger)",
        "listed or set()",
        "tests/output/test_shard_index.py -k gc_keeps",
    ),
    Mutant(
        "a file in the place of the index that no run wrote is not overwritten",
        "planning/prepare.py",
        "    _check_index(ledger)\n",
        "    pass\n",
        "tests/output/test_shard_index.py -k overwritten",
    ),
    Mutant(
        "a deletion of superseded shards that was stopped is resumed",
        "output/garbage.py",
        "if shard_of(name) in known]",
        "if False]",
        "tests/faults/test_killed_gc.py -k run_killed",
    ),
    Mutant(
        "a superseded shard that is needed again is read before it is published",
        "jobs/steps.py",
        "    marks = {**prepared.lost, **damaged_since(prepared, listener, chosen)}\n",
        "    marks = dict(prepared.lost)\n",
        "tests/faults/test_needed_again.py -k damaged_shard_that_is_needed",
    ),
    Mutant(
        "the part that publishes reads the superseded shards of other parts",
        "jobs/run_part.py",
        "        prepared = replan_stale(prepared, listener, chosen=lambda shard: not part.owns(shard))\n",
        "",
        "tests/faults/test_needed_again.py -k have_not_begun",
    ),
    Mutant(
        "no row of the manifest has null",
        "output/published_rows.py",
        "**without_nulls(plain)",
        "**plain",
        "tests/output/test_published_rows.py -k one_type_in_all_rows",
    ),
    Mutant(
        "what is in the way of a new output is not written over",
        "output/ledger.py",
        "        return next(chain(lists, objects), None)\n",
        "        return None\n",
        "tests/jobs/test_jobs.py -k something_is_in_the_way",
    ),
    Mutant(
        "verify does not promise that a superseded shard is made again",
        "output/audit/shards.py",
        "        if self.superseded:\n            return _superseded(self.ledger)\n",
        "",
        "tests/output/test_audit.py -k what_verify_says_of_a_damaged_superseded",
    ),
    Mutant(
        "nothing is deleted after a publication that is worse than the one before",
        "jobs/tidying.py",
        "if not (good and ",
        "if not (",
        "tests/jobs/test_tidying.py -k nothing_is_deleted_after",
    ),
    Mutant(
        "what a repair notes is published again",
        "jobs/publish.py",
        "    if publication.due:\n        return publication.due\n",
        "",
        "tests/output/test_audit.py",
    ),
    Mutant(
        "lists are held against their digests while a run is unfinished",
        "output/audit/reading.py",
        "        for name in (MANIFEST, FAILURES, INDEX, PARQUET):\n",
        '        for name in (MANIFEST, FAILURES, INDEX, PARQUET) if "counts" in described else ():\n',
        "tests/output/test_audit.py::test_a_manifest_that_lost_a_shard_is_found_while_a_later_run_is_unfinished[1]",
    ),
    Mutant(
        "other metadata is published",
        "jobs/publish.py",
        "        METADATA: job.metadata,\n",
        '        METADATA: "",\n',
        "tests/planning/test_utterance_metadata.py -k changed_list",
    ),
    Mutant(
        "a shard whose texts changed is made again",
        "planning/sidecars.py",
        "        return same and all(then == told for then, told in pairs), changed\n",
        "        return same, changed\n",
        "tests/worker/test_repack.py -k changed_text",
    ),
    Mutant(
        "of a shard with changed mels, those alone are decoded",
        "worker/repack.py",
        "if now.get(row.key) == row.source.digest}",
        "if row.key in now}",
        "tests/worker/test_repack.py -k only_those_are_decoded",
    ),
    Mutant(
        "audio of another version of the format is not copied",
        "worker/repack.py",
        "    if old.fingerprint != task.fingerprint:\n",
        "    if False:\n",
        "tests/worker/test_repack.py -k made_other_samples",
    ),
    Mutant(
        "the digest check before audio is copied",
        "worker/repack.py",
        "        if found != wanted:\n",
        "        if found is None:\n",
        "tests/worker/test_repack.py -k damaged_or_gone",
    ),
    Mutant(
        "the check of texts before an object is adopted",
        "worker/attempt.py",
        "else member.read() == our_member.read()\n",
        "else True\n",
        "tests/worker/test_repack.py -k not_adopted",
    ),
    Mutant(
        "shards with other texts have other names",
        "output/layout.py",
        """(f" {texts}" if texts else "")\n""",
        '""\n',
        "tests/worker/test_repack.py -k stopped_repack",
    ),
    Mutant(
        "a field that is missing somewhere is text",
        "planning/fields.py",
        '"text" if self._type is None or self._typed < rows else self._type\n',
        '"text" if self._type is None else self._type\n',
        "tests/planning/test_fields.py -k one_type_in_all_rows",
    ),
    Mutant(
        "the fields of the metadata have one order",
        "planning/fields.py",
        "for name in sorted(found)}",
        "for name in found}",
        "tests/planning/test_fields.py -k no_value_is_lost",
    ),
    Mutant(
        "values in lists and objects that become text are told",
        "planning/fields.py",
        '        if settled != "text":\n',
        "        if False:\n",
        "tests/planning/test_fields.py -k told_with_counts",
    ),
    Mutant(
        "the seal of a commit record",
        "output/commit_format.py",
        "if seal[len(_SEAL) : -len(_END)] != _digest(body):",
        "if False:",
        "tests/output/test_ledger.py -k changed_value",
    ),
    Mutant(
        "three workers lost alone before an utterance is condemned",
        "cluster/lost_workers.py",
        "elif group and self._deaths >= DEATHS:",
        "elif group:",
        "tests/cluster/test_lost_workers.py -k preempted",
    ),
    Mutant(
        "what a worker said before it was lost counts",
        "cluster/dask_executor.py",
        "            elif trial in self._futures:\n",
        '            elif trial in self._futures and self._futures[trial].status == "finished":\n',
        "tests/faults/test_bad_workers.py -k right_after_its_answer",
    ),
    Mutant(
        "a worker that hangs is restarted",
        "cluster/dispatch.py",
        "            if flight.worker and now - flight.heard > limit:\n",
        "            if False:\n",
        "tests/faults/test_bad_workers.py -k hangs",
        hangs=True,
    ),
    Mutant(
        "what is committed is not made again",
        "worker/convert.py",
        "    if there is not None:  # the worker that committed it died before it could say so\n",
        "    if False:\n",
        "tests/faults/test_bad_workers.py -k died_after_its_commit",
    ),
    Mutant(
        "a worker that dies while it starts is started again",
        "cluster/local.py",
        "worker_class=_PatientNanny,",
        "worker_class=Nanny,",
        "tests/faults/test_kills.py -k while_it_starts",
    ),
    Mutant(
        "parts make up for those that never begin",
        "planning/parts.py",
        "        yield from sorted(others, ",
        "        sorted(others, ",
        "tests/faults/test_array.py -k never_begin",
    ),
    Mutant(
        "a whole run keeps out of the way of parts",
        "storage/local.py",
        "        with self._locked(owner, shared=True):\n            yield\n",
        "        yield\n",
        "tests/faults/test_array.py -k out_of_each_others_way",
    ),
    Mutant(
        "what a hopeless run committed empty is made again",
        "jobs/steps.py",
        "        if not ledger.commit(name).head.made:",
        "        if False:",
        "tests/faults/test_hopeless.py -k restored",
    ),
    Mutant(
        "generations, not clocks, tell which commit is the newest",
        "planning/prepare.py",
        'job = replace(prepared.job, generation=1 + (described["generation"] if described else 0))',
        "job = replace(prepared.job, generation=int(datetime.now(UTC).timestamp()))",
        "tests/faults/test_clocks.py",
    ),
    Mutant(
        "signals wait while modules are imported",
        "interrupts/__init__.py",
        "    with interrupts_noted() as noted:\n        yield\n",
        "    noted: list[int] = []\n    yield\n",
        "tests/test_interrupts.py",
    ),
    Mutant(
        "a signal is noticed while this process makes a shard",
        "cluster/dispatch.py",
        "        self._look_around()\n\n    def _landed",
        "\n    def _landed",
        "tests/cluster/test_dispatch.py -k signal_at_once",
    ),
    Mutant(
        "the window of shards in flight",
        "cluster/dispatch.py",
        "        while len(self._flights) < self._executor.window and",
        "        while len(self._flights) < 1000 and",
        "tests/cluster/test_dispatch.py -k window_of_shards",
    ),
    Mutant(
        "workers' versions are compared before any work",
        "cluster/connection.py",
        "        compare_versions(client, config.timeout)\n",
        "",
        "tests/cluster/test_worker_versions.py -k before_any_work",
    ),
    Mutant(
        "a worker that comes later compares its versions, too",
        "cluster/on_worker.py",
        "    refuse_other_versions(worker.address, differing(job.versions, installed()))\n",
        "",
        "tests/cluster/test_worker_versions.py -k comes_later",
    ),
    Mutant(
        "a key that everybody reads is refused",
        "cluster/security.py",
        'if name == "key" and stat.S_IMODE(mode) & 0o007:',
        "if False:",
        "tests/cluster/test_security.py -k everybody_reads",
    ),
    Mutant(
        "SLURM's workers leave before their walltime",
        "cluster/slurm.py",
        "    return walltime - reserve, reserve / 2\n",
        "    return walltime, reserve / 2\n",
        "tests/cluster/test_slurm.py -k leave_before",
    ),
    Mutant(
        "SLURM's jobs in hidden partitions are seen",
        "cluster/slurm_queue.py",
        '["squeue", "--all", ',
        '["squeue", ',
        "tests/cluster/test_slurm.py -k queue_is_read",
    ),
    Mutant(
        "nobody is told to start workers while the scheduler is gone",
        "cluster/liveness.py",
        'words = words if answers else ""',
        "words = words",
        "tests/cluster/test_liveness.py",
    ),
    Mutant(
        "nobody hangs while there are no workers",
        "cluster/dispatch.py",
        "        if not self._executor.working:",
        "        if False:",
        "tests/cluster/test_dispatch.py -k nothing_hangs",
    ),
    Mutant(
        "a shard that takes longer than workers live ends the run",
        "cluster/dispatch.py",
        "    if flight.starts > _STARTS:",
        "    if False:",
        "tests/cluster/test_dispatch.py -k longer_than_workers_live",
        hangs=True,
    ),
    Mutant(
        "what an unfinished run has committed is no garbage",
        "output/census.py",
        "superseded = publication is not None and publication.supersedes(name, head.generation)",
        "superseded = publication is not None and name not in publication.commits",
        "tests/output/test_garbage.py",
    ),
    Mutant(
        "the scheduler keeps no log of what is finished",
        "cluster/settings.py",
        '    "distributed.admin.low-level-log-length": 0,\n',
        "",
        "tests/cluster/test_memory.py -k keeps_anything",
    ),
    Mutant(
        "a job that takes more memory than it may is refused",
        "planning/memory.py",
        "    if total > limit:\n",
        "    if False:\n",
        "tests/cluster/test_memory.py -k refused",
    ),
    Mutant(
        "a run keeps the length of shards with which its output was begun",
        "planning/prepare.py",
        "    length = begun_with(described)\n",
        "    length = None\n",
        "tests/planning/test_shard_length.py -k begun",
    ),
    Mutant(
        "a task that ended without a word ends the run",
        "cluster/dask_executor.py",
        "        if unheard := finished & self._silent & self._futures.keys():\n",
        "        if unheard := set[int]():\n",
        "tests/cluster/test_execute.py -k pass_on_what_workers_say",
        hangs=True,
    ),
    Mutant(
        "a task is bytes to Dask",
        "cluster/dask_executor.py",
        "        sealed = [each.sealed() for each in trials]\n",
        "        sealed = [each for each in trials]\n",
        "tests/cluster/test_execute.py -k bytes_to_dask",
    ),
    Mutant(
        "secrets stay out of Dask's tasks",
        "cluster/dask_executor.py",
        "each.task.name, each.number) for each",
        "each.task.name, str(self._job.config)) for each",
        "tests/test_secrets.py -k anywhere",
    ),
    Mutant(
        "errors leave a worker without secrets",
        "worker/task.py",
        "        error = MelmillError(words)\n",
        "        error = LookupError(words)\n",
        "tests/test_secrets.py -k anywhere",
    ),
    Mutant(
        "options whose names say that they are secret are not shown",
        "redaction.py",
        '        r"\\1\\2...",\n',
        '        r"\\1\\2\\3",\n',
        "tests/test_secrets.py -k this_process",
    ),
    Mutant(
        "values of secret options are not shown in any words",
        "redaction.py",
        "    if len(secret) >= _SHORTEST:\n",
        "    if False:\n",
        "tests/test_secrets.py -k any_words",
    ),
    Mutant(
        "no secret stands in a list of a job",
        "config/options.py",
        "    elif isinstance(value, (list, tuple)):\n        for names",
        "    elif False:\n        for names",
        "tests/storage/test_objects.py -k not_repeated",
    ),
    Mutant(
        "a scheduled run says nothing where nothing changed",
        "cli/carry_out.py",
        "    if if_changed and not report.run_id and not report.deleted.shards:\n",
        "    if False:\n",
        "tests/test_schedules.py -k quarantined_only_once",
    ),
    Mutant(
        "a run that fails keeps when the last one succeeded",
        "events/prometheus.py",
        "{**self._before(), **self._now(error is None)}",
        "self._now(error is None)",
        "tests/test_schedules.py -k keeps_when",
    ),
    Mutant(
        "a run that another keeps out leaves the figures alone",
        "events/prometheus.py",
        "        if isinstance(error, OwnedError):\n            return\n",
        "",
        "tests/test_schedules.py -k steps_back",
    ),
    Mutant(
        "a stage within another stops that one's time",
        "events/stopwatch.py",
        "stage = self._under_way[-1]",
        "stage = self._under_way[0]",
        "tests/events/test_stopwatch.py",
    ),
    Mutant(
        "put on condition that the name is free (If-None-Match)",
        "storage/objects/transfers.py",
        '                    self._put(name, source, "create")\n',
        '                    self._put(name, source, "overwrite")\n',
        "tests/storage/test_storage.py::TestMemory -k first_put_wins",
    ),
    Mutant(
        "an object replaced between its opening and its first read is opened again",
        "storage/objects/transfers.py",
        "                if self._begun or not",
        "                if True or not",
        "tests/storage/test_objects.py -k before_it_is_read",
    ),
    Mutant(
        "a lost answer of a PUT is resolved by reading back",
        "storage/objects/transfers.py",
        "if (won := self._holds(name, source)) is not None:",
        "if (won := None) is not None:",
        "tests/storage/test_objects.py -k lost_answer",
    ),
    Mutant(
        "a store without conditional PUT is found out",
        "storage/objects/storage.py",
        "        if not any(self._refuses() for _ in range(_TRIES)):",
        "        if False:",
        "tests/storage/test_objects.py -k without_conditional",
    ),
    Mutant(
        "whoever holds the output in an object store is in the way",
        "storage/objects/lease.py",
        "            if alive and watch.pulse.holding:\n",
        "            if alive:\n                return\n            if False:\n",
        "tests/storage/test_storage.py::TestMemory -k told_who_holds",
    ),
    Mutant(
        "a pulse that stands still is that of a dead run",
        "storage/objects/lease.py",
        "        if time.monotonic() - self._since > DEAD_SECONDS:\n",
        "        if False:\n",
        "tests/storage/test_objects.py -k outwaited",
        hangs=True,
    ),
    Mutant(
        "a run that was taken for dead changes nothing any more",
        "storage/objects/lease.py",
        "        if self._lost:\n            raise",
        "        if False:\n            raise",
        "tests/storage/test_objects.py -k taken_for_dead_changes",
    ),
    Mutant(
        "a machine's sleep counts as silence of its run",
        "storage/objects/lease.py",
        "    return time.monotonic() if boottime is None else",
        "    return time.monotonic() if True else",
        "tests/storage/test_objects.py -k machine_slept",
    ),
    Mutant(
        "a site's configuration of Dask does not reach local workers",
        "cluster/settings.py",
        "    dask.config.refresh(paths=[], env={})\n",
        "",
        "tests/cluster/test_site_configuration.py -k does_not_reach",
    ),
    Mutant(
        "a group shares the lock of an output",
        "storage/filelock.py",
        "os.O_RDWR | os.O_CREAT, 0o666)",
        "os.O_RDWR | os.O_CREAT, 0o644)",
        "tests/cli/test_permissions.py -k umask_leaves",
    ),
    Mutant(
        "what a terminal cannot show is escaped",
        "__main__.py",
        "    _escape_what_cannot_be_shown()\n    try:\n",
        "    try:\n",
        "tests/cli/test_encodings.py -k each_command",
    ),
    Mutant(
        "names of files are UTF-8 in every locale",
        "__main__.py",
        "    _read_names_as_utf8()\n    _escape",
        "    _escape",
        "tests/cli/test_encodings.py -k whatever_the_locale",
    ),
    Mutant(
        "an opened dataset has a client of its own in each process",
        "storage/ranges.py",
        " or self._opened[0] != os.getpid()",
        "",
        "tests/output/test_dataset.py -k one_request",
    ),
    Mutant(
        "an utterance of a dataset is checked when that is asked for",
        "output/dataset.py",
        "        if self._check and ",
        "        if False and ",
        "tests/output/test_dataset.py -k cut_off",
    ),
    Mutant(
        "no secret stands in a job",
        "config/options.py",
        "    if spelt:\n",
        "    if False:\n",
        "tests/storage/test_objects.py -k not_repeated",
    ),
    Mutant(
        "compiled code of another user is not run",
        "storage/trusted_folder.py",
        "if found.st_uid not in (0, os.geteuid()):",
        "if False:",
        "tests/kernels/test_cache.py -k another_user",
    ),
    Mutant(
        "compiled code that others may write is not run",
        "storage/trusted_folder.py",
        "if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):",
        "if False:",
        "tests/kernels/test_cache.py -k others_may_write",
    ),
    Mutant(
        "compiled code behind a symbolic link is not run",
        "storage/trusted_folder.py",
        "os.O_RDONLY | os.O_NOFOLLOW |",
        "os.O_RDONLY |",
        "tests/kernels/test_cache.py -k symbolic",
    ),
    Mutant(
        "kept files are ours alone to write, whatever the umask",
        "storage/trusted_folder.py",
        " & ~0o022)",
        ")",
        "tests/kernels/test_cache.py -k umask",
    ),
    Mutant(
        "damaged code is compiled again, not run",
        "kernels/recipe.py",
        "if hashlib.sha256(content).hexdigest().encode() != digest:",
        "if not digest:",
        "tests/kernels/test_cache.py -k damaged_file",
    ),
    Mutant(
        "a mapped array has the length that its file states",
        "kernels/mapped.py",
        "return shape if whole else None",
        "return shape",
        "tests/kernels/test_cache.py -k not_whole",
    ),
    Mutant(
        "of two processes that compute an array at once, both map one file",
        "kernels/mapped.py",
        "replace=file is not None)",
        "replace=True)",
        "tests/kernels/test_cache.py -k first_file",
    ),
    Mutant(
        "kept files that nobody uses are removed",
        "kernels/cache.py",
        "        place.sweep(_DAYS, _MOST_BYTES)\n",
        "",
        "tests/kernels/test_cache.py -k not_used",
    ),
    Mutant(
        "kept code is of the sources that it was compiled from",
        "kernels/cache.py",
        "hashlib.sha256(path.read_bytes()).digest()",
        "b''",
        "tests/kernels/test_cache.py -k sources",
    ),
    Mutant(
        "code is not called where the system forbids it",
        "kernels/compiling.py",
        "        llvm.check_jit_execution()",
        "        pass",
        "tests/kernels/test_target.py -k forbidden",
    ),
    Mutant(
        "an emulated fused multiply-add rounds once",
        "kernels/emulated_fma.py",
        "return odd.as_float_bits().single()",
        "return s.single()",
        "tests/kernels/test_emulated_fma.py",
    ),
    Mutant(
        "rounding never carries tanh and erf beyond 1",
        "kernels/elementary.py",
        "polynomial(square, below)).within(-1.0, 1.0)",
        "polynomial(square, below))",
        "tests/kernels/test_elementary.py -k odd_functions",
    ),
    Mutant(
        "convolutions of a compiled ConvNeXt net see zeros beyond the ends of the mel",
        "kernels/convnext/net.py",
        "            x.fill_ends(seen, frames)\n",
        "",
        "tests/kernels/convnext/test_net.py -k of_the_definitions",
    ),
    Mutant(
        "threads that run one ConvNeXt net have buffers of their own",
        "kernels/convnext/net.py",
        "class _Buffers(threading.local):",
        "class _Buffers:",
        "tests/kernels/convnext/test_net.py -k disturb",
    ),
    Mutant(
        "a layer norm sums squares of what is left without the mean",
        "kernels/convnext/layers.py",
        "            apart = y[turn.index] - mean\n",
        "            apart = y[turn.index]\n",
        "tests/kernels/convnext/test_net.py -k hardly_differ",
    ),
    Mutant(
        "a net of lift is compiled only if its layers fit together",
        "vocoders/lift_in_onnx.py",
        "self.demand(found == shape.weight_shapes(), ",
        "self.demand(True, ",
        "tests/vocoders/test_lift_in_onnx.py -k mean_another_thing",
    ),
    Mutant(
        "lanes after the last frame add nothing to the signal",
        "kernels/phase_stage.py",
        "mask + b.equals(blocks - 1).number() * LANES",
        "mask",
        "tests/kernels/test_phase_stage.py -k blocks_need_not_be_full",
    ),
    Mutant(
        "the envelope is that of the frames there are, at the ends",
        "dsp/phase_tables.py",
        "np.arange(len(affected))\n",
        "-1\n",
        "tests/kernels/test_phase_stage.py -k plain_numpy",
    ),
    Mutant(
        "start phases are drawn by absolute frame",
        "dsp/phase_tables.py",
        "source.advance((PHASE_BLOCK - 1) * counts)",
        "source.advance(PHASE_BLOCK * counts)",
        "tests/dsp/test_phase.py -k drawn_by_absolute_frame",
    ),
    Mutant(
        "an iteration waits until the signal reaches beyond its last frame",
        "kernels/phase_stage.py",
        "b = step - i * overlap.reach\n",
        "b = step + i * 0\n",
        "tests/kernels/test_phase_stage.py -k plain_numpy",
    ),
    Mutant(
        "frames that a net says nothing of are silent",
        "kernels/net_magnitudes.py",
        "mine[k * LANES] = magnitude * there",
        "mine[k * LANES] = magnitude",
        "tests/kernels/test_net_magnitudes.py -k silence_surrounds",
    ),
    Mutant(
        "the last block of a product lies within its rows",
        "kernels/products.py",
        "multiply((rows - height).at_least(0), height)",
        "multiply(whole, height)",
        "tests/kernels/test_products.py -k product_is_that",
    ),
    Mutant(
        "convolutions compute tiles on a grid of absolute rows",
        "kernels/hifigan/geometry.py",
        "return rows[0] // self.grid * self.grid, -(-rows[1] // self.grid) * self.grid",
        "return rows[0], rows[0] - (rows[0] - rows[1]) // self.grid * self.grid",
        "tests/kernels/hifigan/test_generator.py -k bits_of_the_whole",
    ),
    Mutant(
        "a stretch has the rows on which its snakes depend",
        "kernels/hifigan/geometry.py",
        "return first - self.context, last + self.context",
        "return first, last",
        "tests/kernels/hifigan/test_generator.py -k bits_of_the_whole",
    ),
    Mutant(
        "a doubled signal has its last values beyond its ends",
        "kernels/hifigan/snake.py",
        ".at_least(0).at_most(length * 2 - 1)",
        ".at_most(length * 2 - 1)",
        "tests/kernels/hifigan/test_snake.py -k any_rows",
    ),
    Mutant(
        "a convolution sees zeros beyond the ends of what a snake gives",
        "kernels/hifigan/snake.py",
        "with f.when((row >= 0) & (row < length)), f.loop",
        "with f.loop",
        "tests/kernels/hifigan/test_snake.py -k any_rows",
    ),
    Mutant(
        "a snake whose channels have several filters is not understood",
        "vocoders/snake_in_onnx.py",
        "bool((kernel == kernel[:1]).all())",
        "True",
        "tests/vocoders/test_generator_in_onnx.py -k several_filters",
    ),
    Mutant(
        "a stretch has all frames that meet in its samples",
        "kernels/hifigan/geometry.py",
        "reach + transform.overlap // 2, reach + transform.overlap // 2 - 1",
        "reach, reach",
        "tests/kernels/hifigan/test_generator.py -k bits_of_the_whole",
    ),
    Mutant(
        "iSTFTNet's last convolution sees row 1 before row 0",
        "kernels/hifigan/generator.py",
        "rows[-1, 0][...] = rows[1, 2]",
        "pass",
        "tests/kernels/hifigan/test_generator.py -k of_the_definitions",
    ),
    Mutant(
        "the outermost samples, in which fewer frames meet, get their factor",
        "kernels/hifigan/generator.py",
        "            if lo < hi:\n                samples",
        "            if False:\n                samples",
        "tests/kernels/hifigan/test_generator.py -k of_the_definitions",
    ),
    Mutant(
        "only HiFi-GAN has mixed precision",
        "kernels/hifigan/shape.py",
        'if shape.precision == "mixed" and (shape.snakes or shape.transform):',
        "if False:",
        "tests/vocoders/test_registry.py -k only_hifigan",
    ),
    Mutant(
        "a filter on a circle mends the two products that it folds onto others",
        "kernels/hifigan/transforms.py",
        "return [y[0] + zero, *y[1:-1], y[-1] + infinity]",
        "return y",
        "tests/kernels/hifigan/test_convolution.py -k is_the_sum_over_its_taps",
    ),
    Mutant(
        "upsampling computes tiles on a grid of absolute rows",
        "kernels/hifigan/geometry.py",
        "return first * self.filtering.outputs, last * self.filtering.outputs",
        "return (row := (rows[0] + self.cut) // self.rate), row + (last - first + 1) * self.filtering.outputs",
        "tests/kernels/hifigan/test_generator.py -k bits_of_the_whole",
    ),
    Mutant(
        "each thread that decodes has its own buffers",
        "kernels/hifigan/generator.py",
        "class _Buffers(threading.local):",
        "class _Buffers:",
        "tests/kernels/hifigan/test_generator.py -k disturb",
    ),
    Mutant(
        "rows beyond the ends of a mel are zero",
        "kernels/buffers.py",
        "self[lo, hi].fill(0)",
        "pass",
        "tests/kernels/hifigan/test_generator.py -k of_the_definitions",
    ),
    Mutant(
        "no model is half understood",
        "vocoders/node_chain.py",
        "(node.operator, node.inputs, node.attributes) == (operator, inputs, attributes) and len(node.outputs) == 1,",
        "node.operator == operator,",
        "tests/vocoders/test_generator_in_onnx.py -k anything_is_different",
    ),
    Mutant(
        "a window's samples are those of the whole, bit for bit: the kernels are told where it lies",
        "vocoders/native_vocoder.py",
        "(mel, window.start, window.frames, window.core_start, window.core_stop)",
        "(mel, 0, mel.shape[1], window.core_start - window.start, window.core_stop - window.start)",
        "tests/vocoders/test_native_vocoder.py -k bit_for_bit",
    ),
    Mutant(
        "auto does not take kernels that are slower than onnxruntime",
        "vocoders/native_vocoder.py",
        "if target.slow and not slow_too:",
        "if False:",
        "tests/vocoders/test_registry.py -k falls_back",
    ),
    Mutant(
        "mixed precision is another vocoder",
        "vocoders/onnx_model.py",
        "self._digest_elsewhere(_NATIVE[precision])",
        'self._digest_elsewhere(_NATIVE["float32"])',
        "tests/vocoders/test_native_vocoder.py -k another_vocoder",
    ),
    Mutant(
        "mixed precision is refused where the processor cannot multiply bfloat16",
        "vocoders/native_vocoder.py",
        'if shape.precision == "mixed" and not target.bfloat16:',
        "if False:",
        "tests/vocoders/test_registry.py -k no_bfloat16",
    ),
    Mutant(
        "convolutions that bfloat16 would make too noisy stay in float32",
        "kernels/hifigan/shape.py",
        "not (stage == 0 and taps > _LONG)",
        "taps > 0",
        "tests/kernels/hifigan/test_generator.py -k longest",
    ),
    Mutant(
        "a worker takes the runtime that the run was planned with",
        "worker/convert.py",
        "runtime = job.runtime or config.runtime",
        "runtime = config.runtime",
        "tests/worker/test_convert.py -k planned_with",
    ),
    Mutant(
        "the plan says how shards of another runtime are kept",
        "planning/fingerprint.py",
        "how = elsewhere.get(made_with.vocoder)",
        "how = None",
        "tests/test_old_outputs.py -k how_to_keep",
    ),
    Mutant(
        "a retry keeps the runtime of the output",
        "planning/prepare.py",
        'if vocoder.get("runtime") == "auto":',
        "if False:",
        "tests/test_old_outputs.py -k stays_with",
    ),
    Mutant(
        "code is compiled and weights are transformed before local workers start",
        "jobs/steps.py",
        "            vocoder.prepare()\n",
        "            pass\n",
        "tests/jobs/test_jobs.py -k before_they_start",
    ),
    Mutant(
        "each thread has scratch memory of its own",
        "dsp/mel_analysis.py",
        "class _OfThread(threading.local):",
        "class _OfThread:",
        "tests/dsp/test_mel_analysis.py -k scratch_memory",
    ),
    Mutant(
        "frames are transformed in double precision",
        "kernels/log_mel.py",
        "product: Floats = value.double() * window.spread(n)",
        "product: Floats = (value.double() * window.spread(n)).single().double()",
        "tests/dsp/test_mel_analysis.py -k speech_that_numpy",
    ),
    Mutant(
        "frames are added one after the other, however mels were cut",
        "kernels/mel_sums.py",
        "((_LANES, f.whole(0), together), (1, together, frames))",
        "((1, together, frames), (_LANES, f.whole(0), together))",
        "tests/dsp/test_mel_analysis.py -k sums_are",
    ),
)


def passes(test: str, mutant: Mutant | None = None) -> bool:
    """Whether the test passes on a copy of the package, without the mutant's mechanism if one is given."""
    with tempfile.TemporaryDirectory(prefix="melmill-mutant-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
        for other in ("tests", "pyproject.toml", "README.md", "configs"):
            (folder / other).symlink_to(ROOT / other)
        if mutant is not None:
            file = folder / "pipeline" / mutant.file
            text = file.read_text()
            if text.count(mutant.old) != 1:
                sys.exit(f"{mutant.file} no longer holds what {mutant.mechanism!r} is; mend the table in {__file__}")
            file.write_text(text.replace(mutant.old, mutant.new))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *test.split()]
        environment = {**os.environ, "PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            limit = 200 if mutant is not None and mutant.hangs else 900  # the machine may be busy
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            if mutant is not None and mutant.hangs:
                return False
            sys.exit(f"{test} did not end")
        # An error beyond the test itself proves nothing.
        if done.returncode not in (0, 1) or (done.returncode == 1 and " failed" not in done.stdout):
            sys.exit(f"{test} did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.returncode == 0


def main() -> None:
    """Prints a line a mechanism."""
    chosen = [mutant for mutant in MUTANTS if any(word in mutant.mechanism for word in sys.argv[1:] or [""])]
    tests = list(dict.fromkeys(mutant.test for mutant in chosen))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for test, whole in zip(tests, pool.map(passes, tests), strict=True):
            if not whole:
                sys.exit(f"{test} fails though nothing is taken out")
        print("| mechanism taken out | where | test that fails |\n|---|---|---|", flush=True)
        survivors = 0
        for mutant, survived in zip(chosen, pool.map(passes, (each.test for each in chosen), chosen), strict=True):
            survivors += survived
            told = "**none**" if survived else f"`{mutant.test}`"
            print(f"| {mutant.mechanism} | `{mutant.file}` | {told} |", flush=True)
    sys.exit(min(survivors, 1))


if __name__ == "__main__":
    main()
