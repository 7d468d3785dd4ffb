"""Menus, shortcuts and mouse gestures as tables, for the menu bar, the commands and the shortcut sheet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """One line of a menu. `name` is a key of `Commands.handlers`; `needs` is what enables it."""

    name: str
    text: str
    shortcuts: tuple[str, ...] = ()
    tip: str = ""
    checkable: bool = False
    needs: str = ""  # "" = nothing, else a word of states.states


SEPARATOR = None
RECENT = "recent"
"""Where the recent files stand in the File menu."""
DOCKS = "docks"
"""Where the switches of the panels stand in the View menu."""

MENUS: dict[str, tuple[Action | str | None, ...]] = {
    "&File": (
        Action("open_files", "&Open scans…", ("Ctrl+O",), "Several 3D files, one 4D file, or a project"),
        Action(
            "open_folder",
            "Open &folder…",
            ("Ctrl+Shift+O",),
            "A folder of scans, BIDS included, or a saved fit",
        ),
        RECENT,
        Action(
            "open_sample",
            "Open the s&ample",
            (),
            "A beating heart, twelve phases, that comes with the program",
        ),
        Action(
            "open_times",
            "&Times from file…",
            (),
            "Of the scans that are open: numbers, a table, or a JSON sidecar",
            needs="idle series",
        ),
        SEPARATOR,
        Action("save_project", "&Save project", ("Ctrl+S",), "All that is open, fits included", needs="series"),
        Action("save_project_as", "Save project &as…", ("Ctrl+Shift+S",), "Under another name", needs="series"),
        Action(
            "save_capsule",
            "Save &capsule…",
            (),
            "The project with the command lines that make its results again, versions and checksums",
            needs="result",
        ),
        SEPARATOR,
        Action(
            "save_fit", "Save &fit…", (), "A folder that can be opened again; of a pair, its export", needs="result"
        ),
        Action("export", "&Export…", ("Ctrl+E",), "Volumes, fields, maps, tables, pictures", needs="series"),
        Action(
            "export_movie", "Export &movie…", ("Ctrl+Shift+E",), "Any view over time, as MP4 or GIF", needs="series"
        ),
        Action("export_report", "Export &report…", (), "The fit as one HTML page", needs="fit"),
        Action("save_picture", "Save &picture…", ("Ctrl+Shift+P",), "Any view as PNG or SVG", needs="series"),
        SEPARATOR,
        Action("quit", "&Quit", ("Ctrl+Q",)),
    ),
    "&Edit": (
        Action("undo", "&Undo", ("Ctrl+Z",), "Take the last change back", needs="undo"),
        Action("redo", "&Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "Make it again", needs="redo"),
        SEPARATOR,
        Action("show_settings", "&Settings…", ("Ctrl+,",), "Defaults, autosave, what opens at start"),
    ),
    "F&it": (
        Action(
            "start_fit",
            "&Start",
            ("F5",),
            "Fit the series with the settings of the fit panel; while a fit runs, after it",
            needs="fit list",
        ),
        Action("pause_fit", "&Pause or resume", ("Ctrl+F5",), "Hold the fit, or let it go on", needs="fitting"),
        Action("stop_fit", "S&top", ("Shift+F5",), "Stop and keep the best there is", needs="fitting"),
        Action("stop_all_fits", "Stop a&ll", (), "Stop, and let none begin that waits", needs="fitting"),
        SEPARATOR,
        Action("new_fit_with", "&New fit with…", ("Ctrl+Shift+N",), "Another smoothness weight", needs="fit list"),
        Action("compare_methods", "&Compare methods…", ("Ctrl+M",), "Fit the linear baselines too", needs="fit list"),
        Action("leave_one_out", "Leave &one out…", (), "Predict each scan without it, in turn", needs="fit list"),
    ),
    "&Register": (
        Action("start_registration", "&Start", ("F6",), "Register the pair of the Register tab", needs="idle"),
        Action("stop_registration", "S&top", ("Shift+F6",), "Stop and keep what there is", needs="registering"),
        SEPARATOR,
        Action("show_before", "&Before", ("5",), "As the initial alignment lays it", needs="pair", checkable=True),
        Action("show_after", "&After", ("6",), "As the map carries it", needs="pair", checkable=True),
        Action("show_checkerboard", "&Checkerboard", ("7",), "Squares of both images", needs="pair", checkable=True),
        Action("show_flicker", "&Flicker", ("8",), "Both images in turn", needs="pair", checkable=True),
        Action(
            "turn_direction", "Pull the &other image", ("D",), "Moving onto fixed, or fixed onto moving", needs="pair"
        ),
        Action("toggle_landmarks", "&Landmarks", ("L",), "Dots, rings, error lines", needs="landmarks", checkable=True),
        SEPARATOR,
        Action("export_registration", "&Export…", (), "What `noder register` writes", needs="registered"),
        Action("go_back", "Back to the series or the pa&ir", (), "What was open before", needs="kept"),
    ),
    "Re&gions": (
        Action("open_labels", "&Open labels…", (), "A label map of one scan, or a 4D one", needs="drawable"),
        Action("save_labels", "&Save labels…", (), "As NIfTI, on the voxels of the first scan", needs="regions"),
        SEPARATOR,
        Action("toggle_regions", "S&how the regions", ("G",), "Over the slices", needs="regions", checkable=True),
        Action("toggle_brush", "&Brush", ("Shift+B",), "Drag on a slice to paint", needs="drawable", checkable=True),
        Action("toggle_eraser", "&Eraser", ("Shift+E",), "Drag on a slice to erase", needs="drawable", checkable=True),
        Action("brush_smaller", "S&maller brush", ("[",), needs="drawable"),
        Action("brush_larger", "&Larger brush", ("]",), needs="drawable"),
        Action("undo_stroke", "&Undo stroke", ("Ctrl+Alt+Z",), needs="regions"),
        Action("redo_stroke", "&Redo stroke", ("Ctrl+Alt+Y",), needs="regions"),
        SEPARATOR,
        Action("save_volumes", "Save volumes as &CSV…", (), "Of every region over time", needs="measured"),
        Action("save_region_plot", "Save the &plot as PNG…", (), "Volumes over time", needs="measured"),
    ),
    "&Show": (
        Action("show_observed", "&Observed scan", ("1",), needs="series", checkable=True),
        Action("show_prediction", "&Prediction", ("2",), needs="map", checkable=True),
        Action("show_difference", "&Difference", ("3",), needs="map", checkable=True),
        Action("show_both", "&Side by side", ("4",), needs="map", checkable=True),
        SEPARATOR,
        Action("toggle_jacobian", "&Jacobian (growth)", ("J",), needs="map", checkable=True),
        Action("toggle_rate", "Growth r&ate", ("Shift+J",), "In % per unit of time", needs="map", checkable=True),
        Action("toggle_brightness", "&Brightness (intensity model)", ("B",), needs="map", checkable=True),
        Action(
            "toggle_spread",
            "Spread of the s&eeds (uncertainty)",
            ("U",),
            "How far fits from several seeds differ, in mm: fit with two seeds or more (Fit, Settings)",
            needs="ensemble",
            checkable=True,
        ),
        Action("toggle_quiver", "&Quiver (motion)", ("V",), needs="map", checkable=True),
        Action("toggle_grid", "&Warped grid", ("W",), "Lines that move with tissue", needs="map", checkable=True),
        Action("toggle_contours", "&Contours of motion", ("C",), "In mm", needs="map", checkable=True),
        Action("toggle_folds", "F&olds", ("O",), "Outlined", needs="map", checkable=True),
        Action("toggle_meter", "&Meter", ("Shift+M",), "Folds and inverse consistency", needs="map", checkable=True),
        Action("since_now", "Since the time s&hown", ("S",), "Count motion and growth from here on", needs="map"),
        Action("since_reference", "Since the referen&ce", ("Shift+S",), "As at first", needs="map"),
        SEPARATOR,
        Action("toggle_radiological", "&Radiological", ("R",), "Patient's right on the left", checkable=True),
        SEPARATOR,
        Action("add_slice_layers", "Add la&yers…", ("Ctrl+L",), "Images or label maps over the slices", needs="series"),
        Action("toggle_bars", "Colour &bars", ("Ctrl+B",), "Of the image and what lies over it", checkable=True),
        SEPARATOR,
        Action("window_auto", "&Auto grey levels", ("A",), "1st to 99th percentile of all scans", needs="series"),
        Action("window_full", "&Full range", ("Shift+A",), "From the smallest to the largest value", needs="series"),
        Action("window_lung", "CT &lung", ("Ctrl+Alt+1",), "-1350 to 150 HU", needs="CT"),
        Action("window_soft", "CT &soft tissue", ("Ctrl+Alt+2",), "-160 to 240 HU", needs="CT"),
        Action("window_bone", "CT bon&e", ("Ctrl+Alt+3",), "-500 to 1300 HU", needs="CT"),
        Action("window_brain", "&CT brain", ("Ctrl+Alt+4",), "0 to 80 HU", needs="CT"),
        SEPARATOR,
        Action("show_methods", "&Methods side by side", ("M",), "Up to four", needs="series", checkable=True),
        Action("build_volume", "3D &view", ("Ctrl+3",), "Build the 3D canvas", needs="series"),
        Action("reset_views", "Reset &views", ("Ctrl+0",), "Zoom, position and crosshair", needs="series"),
        SEPARATOR,
        DOCKS,
    ),
    "&View": (
        Action("layout_four", "Three slices and &3D", ("Alt+1",), checkable=True),
        Action("layout_large", "One &large view", ("Alt+2",), "The view that was large last", checkable=True),
        Action("layout_row", "Three slices in a &row", ("Alt+3",), checkable=True),
        Action("layout_one_and_two", "One large, &two small", ("Alt+4",), checkable=True),
        Action("layout_lightbox", "Light&box over time", ("Alt+5",), "One slice at many times", checkable=True),
        SEPARATOR,
        Action("enlarge", "&Enlarge the view, or back", ("E",), "The view that has the focus, or under the mouse"),
        Action("large_axial", "Large &axial slice"),
        Action("large_sagittal", "Large &sagittal slice"),
        Action("large_coronal", "Large &coronal slice"),
        Action("large_volume", "Large 3&D view"),
        Action("next_large", "&Next view large", ("N",), "In turn: axial, sagittal, coronal, 3D"),
        SEPARATOR,
        Action("theme_dark", "Dar&k theme", (), "Panels and plots on a dark ground", checkable=True),
        Action("theme_light", "L&ight theme", (), "Panels and plots on white; slices stay dark", checkable=True),
        Action("theme_system", "Theme as the s&ystem", (), "Dark or light as the desktop is", checkable=True),
        SEPARATOR,
        Action("full_screen", "&Full screen", ("F11",), "Without panels and menus; Esc comes back", checkable=True),
    ),
    "&Points": (
        Action("follow_cursor", "&Follow the point at the crosshair", ("F",), "Its path through time", needs="map"),
        Action("remove_followed", "&Remove the selected point", ("Shift+F",), "Of the Paths tab", needs="followed"),
        Action("clear_followed", "Remove &all points", (), "Follow none", needs="followed"),
        Action("export_paths", "&Export paths…", (), "Times, places, displacements, speeds as CSV", needs="paths"),
        SEPARATOR,
        Action("copy_coordinates", "&Copy coordinates", (), "RAS mm, LPS mm, voxel of the crosshair", needs="series"),
        Action("go_to_coordinates", "&Go to coordinates…", ("Ctrl+G",), "RAS mm, LPS mm or voxel", needs="series"),
    ),
    "&Time": (
        Action("toggle_playing", "&Play or pause", ("P",), needs="series"),
        Action("step_back", "Step &back", (",",), needs="series"),
        Action("step_forward", "Step &forward", (".",), needs="series"),
        Action("previous_scan", "Pre&vious scan", ("<",), needs="series"),
        Action("next_scan", "&Next scan", (">",), needs="series"),
        Action("first_time", "First scan", ("Ctrl+Home",), needs="series"),
        Action("last_time", "Last scan", ("Ctrl+End",), needs="series"),
        SEPARATOR,
        Action("keep_from", "&Drop the scans before this one", (), "It becomes the reference", needs="idle series"),
        Action("keep_until", "D&rop the scans after this one", (), "The series ends with it", needs="idle series"),
        SEPARATOR,
        Action(
            "toggle_periodic", "Per&iodic", (), "Time as a loop, such as a heart beat", needs="series", checkable=True
        ),
        Action("toggle_mode", "Loop, or there &and back", (), "How it plays where time is no loop", needs="series"),
        Action("next_metric", "Next measure of the &bars", (), "NRMSE, SSIM, NCC of each scan", needs="series"),
    ),
    "&Help": (
        Action("show_palette", "&Commands…", ("Ctrl+K",), "Every action by its words: type, then Enter"),
        Action("show_shortcuts", "&Shortcuts", ("F1", "?"), "This list, to search and to print"),
        Action("show_about", "&About"),
    ),
}

GESTURES: dict[str, tuple[tuple[str, str], ...]] = {
    "Mouse on a slice": (
        ("Click", "Set the crosshair"),
        ("Shift + click", "Follow the tissue there"),
        ("Right click", "Coordinates and more"),
        ("Ctrl + C", "Copy coordinates"),
        ("Drag", "Move the picture; with a brush in the hand: paint"),
        ("Wheel", "Next and previous slice"),
        ("Ctrl + wheel", "Zoom"),
        ("Right-drag", "Window and level"),
        ("Double-click", "Enlarge the view, or back"),
        ("Ctrl + double-click", "Reset the picture"),
    ),
    "Timeline, when it has the focus": (
        ("Left, Right", "Step"),
        ("Ctrl + Left, Right", "Previous and next scan"),
        ("Home, End", "First and last scan"),
        ("Space", "Play or pause"),
    ),
    "Residual bars, when they have the focus": (
        ("Left, Right", "Previous and next bar"),
        ("Enter", "Go to its scan"),
        ("Click", "Go to the scan of a bar"),
    ),
}


def all_actions() -> list[Action]:
    """Every action of every menu."""
    return [entry for menu in MENUS.values() for entry in menu if isinstance(entry, Action)]
